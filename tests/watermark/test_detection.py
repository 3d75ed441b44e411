"""How sure a finding is, and that two weak ones which agree make a sure one."""

from multitalk.media.label import Label
from multitalk.messages import sentence
from multitalk.provenance.inspection import Inspection, ManifestReport, describe
from multitalk.watermark.detection import AGREEMENT, FALSE_ALARMS, Finding, agreed
from multitalk.watermark.keys import Payload

PAYLOAD = Payload(0, 2, 5)


def weak(where, payload):
    return Finding(where, 7.0, 1e-3, payload)


def test_the_same_payload_in_picture_and_sound_is_no_coincidence():
    for finding in agreed([weak("picture", PAYLOAD), weak("sound", PAYLOAD)]):
        assert (finding.is_marked, finding.chance, finding.payload) == (True, AGREEMENT, PAYLOAD)
    assert AGREEMENT < FALSE_ALARMS


def test_other_payloads_or_none_prove_nothing():
    for other in (Payload(0, 2, 6), None):
        both = (weak("picture", PAYLOAD), weak("sound", other))
        assert agreed(both) == both
    nothing = (weak("picture", None), weak("sound", None))
    assert agreed(nothing) == nothing
    alone = (weak("picture", PAYLOAD),)
    assert agreed(alone) == alone
    assert agreed([]) == ()


def test_what_is_surer_than_their_agreement_stays_as_sure():
    sure = Finding("picture", 20.0, 1e-30, PAYLOAD)
    assert [one.chance for one in agreed([sure, weak("sound", PAYLOAD)])] == [1e-30, AGREEMENT]


def test_how_sure_it_is_is_said_as_a_power_of_ten():
    most = "1,000,000,000,000"
    for chance, number in ((3e-9, "100,000,000"), (1e-12, most), (0.0, most)):
        notice = describe(Finding("picture", 9.0, chance, PAYLOAD))
        assert f"fewer than one in {number} would" in sentence(notice.key, **notice.parameters)


def test_a_weak_finding_shows_no_payload():
    found = Inspection(Label(None, None), ManifestReport("absent"), (weak("picture", PAYLOAD),))
    (mark,) = found.reply("en")["marks"]
    assert (mark["is_marked"], mark["payload"], mark["text"]) == (False, None, "no watermark found")
    assert found.basis == "nothing"
