"""Whose webhook is next: a line for each owner, so that none waits for another's host."""

import heapq
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Post:
    """A webhook that is to be posted.

    Attributes:
        due: When, at the earliest: seconds of a clock that only goes forward.
        job_id: Whose end it tells.
        owner: Whose job it is.
        host: Where it goes.
    """

    due: float
    job_id: str
    owner: str = field(compare=False)
    host: str = field(compare=False)


class Lines:
    """Posts that wait. Owners take turns, and so do the hosts of one owner.

    Args:
        per_owner: How many of one owner's may be under way at once.
        in_all: How many of all.
    """

    def __init__(self, *, per_owner: int, in_all: int) -> None:
        self._per_owner = per_owner
        self._in_all = in_all
        self._under_way: Counter[str] = Counter()
        # By owner and host, those that were served last at the end; each is a heap, never empty.
        self._lines: dict[str, dict[str, list[Post]]] = {}

    def add(self, post: Post) -> None:
        """Put a post into its line."""
        line = self._lines.setdefault(post.owner, {}).setdefault(post.host, [])
        heapq.heappush(line, post)

    def take(self, now: float) -> Post | None:
        """The next post, which is under way until `done`; None where none is due or may be."""
        if self._under_way.total() >= self._in_all:
            return None
        for owner, hosts in self._lines.items():
            if self._under_way[owner] < self._per_owner:
                for host, line in hosts.items():
                    if line[0].due <= now:
                        return self._taken(owner, host)
        return None

    def done(self, post: Post) -> None:
        """A post that was taken has come to its end, whatever that is."""
        self._under_way[post.owner] -= 1
        if not self._under_way[post.owner]:
            del self._under_way[post.owner]

    def _taken(self, owner: str, host: str) -> Post:
        hosts = self._lines.pop(owner)
        line = hosts.pop(host)
        post = heapq.heappop(line)
        if line:
            hosts[host] = line
        if hosts:
            self._lines[owner] = hosts
        self._under_way[owner] += 1
        return post
