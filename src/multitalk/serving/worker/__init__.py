"""The worker of a queue: one job at a time, with an engine that is loaded once.

process         load the engine, test it, work until told to stop
loop            claims jobs, has them done, posts what became of them
lease           renews a job's lease meanwhile, and says when the work must stop
task            one job, in the engine's thread, and its outcome
queue_client    thread-safe blocking client for the asyncio queue
"""
