"""The head rig: mesh, shape keys, armature and drivers, and reading a pose back from what Blender evaluated."""
