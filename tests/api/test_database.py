"""What the server itself remembers."""

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
