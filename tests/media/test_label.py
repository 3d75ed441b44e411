"""Every MP4 says in plain metadata that it is AI-generated."""

import xml.etree.ElementTree as ET

import av
import numpy as np
import pytest

import multitalk
from multitalk.media.label import DIGITAL_SOURCE_TYPE, STATEMENT, XMP_PACKET, read_label
from multitalk.media.video import VideoWriter

IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"


@pytest.mark.parametrize("fragmented", [False, True])
def test_a_video_is_labelled_streamed_or_not(tmp_path, fragmented):
    path = tmp_path / "a.mp4"
    fragments = []
    with VideoWriter(
        None if fragmented else path,
        width=64,
        height=64,
        soundtrack=None,
        on_fragment=fragments.append if fragmented else None,
    ) as writer:
        writer.append(np.zeros((5, 64, 64, 3), np.uint8))
    if fragmented:
        path.write_bytes(b"".join(fragment.content for fragment in fragments))
    with av.open(str(path)) as container:
        assert container.metadata["comment"] == container.metadata["description"] == STATEMENT
    label = read_label(path)
    assert label.comment == STATEMENT
    assert label.digital_source_type == (None if fragmented else DIGITAL_SOURCE_TYPE)


def test_the_statement_names_what_made_it_and_how():
    assert "AI-generated" in STATEMENT
    assert f"MultiTalk Serverless {multitalk.__version__}" in STATEMENT
    assert DIGITAL_SOURCE_TYPE in STATEMENT


def test_the_packet_is_xml_with_iptc_s_property():
    root = ET.fromstring(XMP_PACKET.encode())
    assert [found.text for found in root.iter(IPTC)] == [DIGITAL_SOURCE_TYPE]


def test_a_video_without_a_label_has_none(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    label = read_label(path)
    assert (label.comment, label.digital_source_type) == (None, None)
