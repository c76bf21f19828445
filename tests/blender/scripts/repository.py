"""Installing from a self-hosted repository, as *Get Extensions* does, and using what was installed."""

from __future__ import annotations

import bpy
import common

MODULE = "bl_ext.studio.gshead"


def main() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    preferences = bpy.context.preferences
    preferences.system.use_online_access = True
    for repo in preferences.extensions.repos:
        repo.enabled = False  # Blender's own is on the internet
    repo = preferences.extensions.repos.new(name="Studio", module="studio", remote_url=common.ARGS["url"])
    repo.use_remote_url = True
    synced = bpy.ops.extensions.repo_sync(repo_directory=repo.directory)
    installed = bpy.ops.extensions.package_install(
        repo_directory=repo.directory, pkg_id="gshead", enable_on_install=True
    )
    enabled = MODULE in preferences.addons
    loaded = bpy.ops.gshead.load_avatar(filepath=common.ARGS["avatar"]) if enabled else {}
    common.report(
        synced=list(synced), installed=list(installed), enabled=enabled, loaded=list(loaded),
        heads=[obj.name for obj in bpy.data.objects],
    )  # fmt: skip


common.run(main)
