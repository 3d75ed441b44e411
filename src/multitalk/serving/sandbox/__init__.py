"""What clients send is decoded, measured and spoken here, in processes that are ended in time.

The server that answers HTTP (`serving.api`) opens no picture and no recording and speaks no text.
It asks `sandbox.SandboxPool`:

    Readers        admits few questions of each key, ends what takes too long
      ForkServer   a process without environment, with the libraries loaded; sees nothing of clients
        fork       one for each question: memory and CPU time are limited, and where it decodes a
                   file, there are no other files, no network and no new processes
"""
