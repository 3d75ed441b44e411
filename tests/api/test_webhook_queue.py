"""Lines of webhooks: owners and their hosts take turns, and few are under way at once."""

from multitalk.serving.api.jobs.webhooks import DeliveryQueue, WebhookDelivery


def post(owner: str, host: str, name: str, due: float = 0.0) -> WebhookDelivery:
    return WebhookDelivery(due, name, owner, host)


def taken(lines: DeliveryQueue, now: float = 1.0) -> list[str]:
    """All that may be under way now."""
    found = []
    while (one := lines.take(now)) is not None:
        found.append(one.job_id)
    return found


def test_an_owner_s_posts_leave_room_for_those_of_others():
    lines = DeliveryQueue(per_owner=2, in_all=5)
    for number in range(60):
        lines.add(post("many", f"h{number}", f"m{number}"))
    assert taken(lines) == ["m0", "m1"]
    lines.add(post("one", "h", "o"))
    assert taken(lines) == ["o"]
    lines.done(post("many", "h0", "m0"))
    assert taken(lines) == ["m2"]


def test_owners_take_turns_where_there_is_no_room_for_all():
    lines = DeliveryQueue(per_owner=2, in_all=2)
    for number in range(3):
        for owner in "ab":
            lines.add(post(owner, "h", f"{owner}{number}"))
    lines.add(post("c", "h", "c0"))
    order = []
    for _ in range(7):
        one = lines.take(1.0)
        assert one is not None
        order.append(one.job_id)
        lines.done(one)
    assert order == ["a0", "b0", "c0", "a1", "b1", "a2", "b2"]


def test_a_host_with_many_posts_leaves_room_for_an_owner_s_other_hosts():
    lines = DeliveryQueue(per_owner=1, in_all=9)
    for name in ("d0", "d1", "d2"):
        lines.add(post("a", "dead", name))
    lines.add(post("a", "well", "w0"))
    order = []
    for _ in range(4):
        one = lines.take(1.0)
        assert one is not None
        order.append(one.job_id)
        lines.done(one)
    assert order == ["d0", "w0", "d1", "d2"]


def test_what_is_not_due_waits_and_holds_nothing_up():
    lines = DeliveryQueue(per_owner=9, in_all=9)
    lines.add(post("a", "h", "later", due=10.0))
    lines.add(post("a", "h", "now", due=0.5))
    lines.add(post("b", "h", "other", due=1.0))
    assert taken(lines, now=1.0) == ["now", "other"]
    assert taken(lines, now=9.9) == []
    assert taken(lines, now=10.0) == ["later"]
