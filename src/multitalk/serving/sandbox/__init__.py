"""Clients' files are decoded, measured and spoken here, in sandboxed processes with limits.

The server that answers HTTP (`serving.api`) opens no picture or recording and speaks no text. It
calls `pool.SandboxPool`:

    SandboxPool    schedules tasks fairly over callers; kills what takes too long
      ForkServer   a process with the libraries loaded and without environment or client data
        worker     a fork for each task, with limits of memory and CPU time; where it decodes a
                   file, it has no other files, no network and no new processes
"""
