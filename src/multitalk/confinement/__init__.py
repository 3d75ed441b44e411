"""Sandboxed child processes for native code that reads a caller's bytes.

The parent starts a module by `run.run_confined`, without environment, open files or terminal. The
module loads what it needs, then calls `confine.confine`, and only then reads its input. This
package imports nothing else of the project.
"""
