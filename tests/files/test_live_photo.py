import json
import shutil
import struct
import subprocess

import av
import numpy as np
import pytest
from PIL import ExifTags, Image

from loopanimate.files import live_photo
from loopanimate.metrics import psnr
from tests.files.test_formats import circling, decode, write


@pytest.fixture
def pair(tmp_path):
    """A still, its film, and the frames of both."""
    frames = circling(1.6, 8, True)
    path = write(tmp_path / "loop.heic", frames, 8, "the words")
    return path, path.with_suffix(".mov"), frames


def test_one_identifier_ties_still_and_film(pair):
    still, film, _ = pair
    with Image.open(still) as file:
        note = file.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote]
    with av.open(str(film)) as container:
        identifier = container.metadata[live_photo.IDENTIFIER]
        kinds = [stream.type for stream in container.streams]
    assert note.startswith(b"Apple iOS\0") and identifier.encode() + b"\0" in note and len(identifier) == 36
    assert kinds == ["video", "data"]


def test_the_still_is_the_first_frame_of_the_film_at_the_time_that_the_film_says(pair):
    still, film, frames = pair
    with av.open(str(film)) as container:
        (sample,) = [packet for packet in container.demux(container.streams.data[0]) if packet.size]
        assert bytes(sample) == struct.pack(">II", 9, 1) + b"\xff" and sample.pts == 0
    with av.open(str(film)) as container:
        shown = next(container.decode(video=0)).to_ndarray(format="rgb24")
    with Image.open(still) as file:
        assert psnr(np.asarray(file.convert("RGB")), shown) > 36 and len(decode(still)) == len(frames)


def test_each_pair_has_an_identifier_of_its_own(tmp_path):
    frames = circling(1.6, 8, True)[:4]
    names = []
    for index in range(2):
        with av.open(str(write(tmp_path / f"{index}.heic", frames).with_suffix(".mov"))) as container:
            names.append(container.metadata[live_photo.IDENTIFIER])
    assert names[0] != names[1]


def test_frames_stay_where_they_are_when_the_track_is_added(pair, tmp_path):
    """A film whose index is before its frames would be torn apart, so it is refused."""
    shutil.copy(write(tmp_path / "other.mp4", circling(1.6, 8, True)[:4]), tmp_path / "other.mov")
    with pytest.raises(ValueError, match="ends with its index"):
        live_photo.add_still_time(tmp_path / "other.mov")


@pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not installed")
def test_another_reader_finds_the_published_keys_in_both(pair):
    def read(path):
        done = subprocess.run(["exiftool", "-j", "-G1", "-ee", str(path)], check=True, capture_output=True, text=True)
        return json.loads(done.stdout)[0]

    still, film = map(read, pair[:2])
    key = next(key for key in ("Apple:ContentIdentifier", "Apple:MediaGroupUUID") if key in still)  # its name before 12.6
    assert still[key] == film["Keys:ContentIdentifier"] and film["Track2:StillImageTime"] == -1
    assert film["Track2:SampleTime"] == "0 s" and film["Track2:ContentDescribes"] == "Track 1"
    assert still["ExifIFD:UserComment"] == film["Keys:Comment"] == "the words"
