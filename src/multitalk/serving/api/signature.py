"""How a webhook proves where it comes from: the Standard Webhooks scheme, HMAC-SHA256.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hmac

SECRET_PREFIX = "whsec_"  # noqa: S105 - it only says what follows


def webhook_secret(secret: bytes, owner: str) -> str:
    """What the owner of a key checks webhooks with: another for each key, as text."""
    derived = hmac.digest(secret, b"webhooks of " + owner.encode(), "sha256")
    return SECRET_PREFIX + base64.b64encode(derived).decode("ascii")


def signed_headers(secret: str, *, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers that a webhook carries.

    Args:
        secret: As `webhook_secret` gives it.
        message_id: The same for each try of one message.
        timestamp: Of this try, in seconds since 1970: a receiver refuses old ones.
        body: As it is sent.
    """
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    told = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, told, "sha256")).decode("ascii")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }
