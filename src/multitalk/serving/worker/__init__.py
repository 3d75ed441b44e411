"""The worker: one job at a time, with an engine that is loaded once, from any source of jobs.

process     load the engine, test it, work until it must stop
loop        claims jobs, has them done, reports what became of them
lease       keeps a job meanwhile, and decides when the work must stop
run_job     one job, in the engine's thread: where its video goes, and how it ended
job_source  what a source of jobs is, and the client of one for threads

A `JobQueue` is a source; RunPod's is `serving.runpod.runpod_source`.
"""
