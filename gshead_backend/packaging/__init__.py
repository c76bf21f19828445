"""What ``bootstrap.py`` is made of: interpreters, environments, Blender's system libraries, and the extension zip.

Everything here uses the standard library only and nothing else of the project, because it runs before anything is
installed. None of it is part of the extension or of a running backend.
"""
