"""The worker of a queue: one job at a time, with an engine that is loaded once.

process     from the engine's name to exit code: load, try out, work until told to stop
worker      claims jobs, has them done, tells what came of them
keeper      keeps a job's lease meanwhile, and says when the work must stop
task        one job, in the engine's thread, and what it comes to
bridge      from that thread to the queue
"""
