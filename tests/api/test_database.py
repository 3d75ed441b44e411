"""What the server itself remembers."""

import subprocess
import sys
from pathlib import Path

from multitalk.serving.api.database import Database, Upload

SECRET = "key-of-somebody-" * 400  # more than a page of the file


def test_what_the_ledger_forgot_is_in_none_of_its_files(tmp_path):
    ledger = Database(tmp_path / "ledger.db")
    ledger.add_upload(Upload("a", SECRET, "a.wav", 1.0))
    ledger.expect_webhook("job", SECRET, now=0.0)
    holds = [path.name for path in tmp_path.iterdir() if SECRET[:99].encode() in path.read_bytes()]
    assert holds
    ledger.forget_upload("a")
    ledger.forget_webhook("job")
    ledger.erase()
    for path in tmp_path.iterdir():
        assert SECRET[:99].encode() not in path.read_bytes(), path.name
    ledger.close()


CLOSED_DURING_A_STATEMENT = """
import sys, threading, time
from pathlib import Path
from multitalk.errors import QueueUnavailable
from multitalk.serving.api.database import Database, Upload

path = Path(sys.argv[1])
database = Database(path)
for number in range(300):
    database.add_upload(Upload(f"{number:032x}", "owner", "file", 1.0))
database.close()
for number in range(50):
    database, reading = Database(path), threading.Event()

    def read(database=database, reading=reading):
        try:
            while True:
                reading.set()
                database.expired_uploads(2.0)
                database.erase()
        except QueueUnavailable:
            print("refused")

    thread = threading.Thread(target=read)
    thread.start()
    reading.wait()
    time.sleep(0.0005 * (number % 7))
    database.close()
    thread.join()
"""


def test_closing_waits_for_another_threads_statement(tmp_path: Path) -> None:
    """As where a server ends right after its start, during its first look for old uploads."""
    ended = subprocess.run(
        [sys.executable, "-c", CLOSED_DURING_A_STATEMENT, str(tmp_path / "server.db")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout.split()) == (0, ["refused"] * 50), ended.stderr
