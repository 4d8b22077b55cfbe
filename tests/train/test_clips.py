import json
import pickle
import random

import numpy as np
import pytest

from tests.videos import number, numbered, scene, write_audio, write_captions, write_shard, write_video
from train import clips as clips_module
from train.clips import Clip, ClipError, Video, collect, relative, summary
from train.loop_sampling import loop_indices

FRAMES = [numbered(index) for index in range(120)]
SIDE = 48
VISIBLE = 0b01111110  # a centre crop of 64 x 48 to a square loses the outer bars


def clip(path, **values):
    return Clip(path.name, "words", path, **values)


def numbers(frames):
    return [number(frame) for frame in frames]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".avi"])
def test_reads_exactly_the_frames_asked_for(folder, ending):
    path = write_video(folder / f"plain{ending}", FRAMES)
    indices = [17 + index for index in loop_indices(8, random.Random(0))]
    with Video(clip(path)) as video:
        assert (video.num_frames, round(video.fps, 2)) == (120, 24)
        frames = video.read(indices, SIDE)
        assert frames.shape == (15, SIDE, SIDE, 3)
        assert numbers(frames) == [index & VISIBLE for index in indices]
        assert numbers(video.read([119, 0, 60], SIDE)) == [index & VISIBLE for index in (119, 0, 60)]  # rereads backwards


@pytest.mark.parametrize(
    "name, codec, options",
    [
        ("open.mp4", "libx264", {"x264-params": "open-gop=1:bframes=3:b-adapt=0:scenecut=0"}),  # needs the group before it
        ("open.mkv", "libx264", {"x264-params": "open-gop=1:bframes=3:b-adapt=0:scenecut=0"}),
        (
            "order.avi",
            "libx264",
            {"x264-params": "bframes=3:b-adapt=0:scenecut=0"},
        ),  # the container has no times of presentation
        ("stream.mpeg", "mpeg1video", {"bf": "2"}),  # the container has no index
    ],
)
def test_reads_what_cannot_be_entered_in_the_middle(folder, name, codec, options):
    path = write_video(folder / name, FRAMES, codec=codec, **options)
    for start in (0, 17, 60, 77):
        indices = [start + index for index in loop_indices(8, random.Random(0))]
        with Video(clip(path)) as video:
            assert video.num_frames == 120
            for asked in (indices, [119, start]):
                assert numbers(video.read(asked, SIDE)) == [index & VISIBLE for index in asked]


def test_a_title_that_is_no_utf8_is_no_reason(folder):
    path = write_video(folder / "title.mp4", FRAMES[:10], title="A TITLE")
    path.write_bytes(path.read_bytes().replace(b"A TITLE", b"\xff TITLE"))
    with Video(clip(path)) as video:
        assert numbers(video.read([6], SIDE)) == [6]


def test_decodes_no_more_than_from_the_key_frame_before(folder, monkeypatch):
    path = write_video(folder / "seek.mp4", FRAMES, gop=10)
    converted = []
    with Video(clip(path)) as video:
        decode = video._container.decode
        monkeypatch.setattr("train.clips._square", lambda frame, *_: converted.append(frame.time) or np.zeros((1, 1, 3)))
        counted = []
        video._container = Counted(video._container, decode, counted)
        video.read([104, 100], SIDE)
    assert len(converted) == 2 and len(counted) <= 12


class Counted:
    """A container that notes each decoded frame."""

    def __init__(self, container, decode, counted):
        self.container, self._decode, self.counted = container, decode, counted

    def __getattr__(self, name):
        return getattr(self.container, name)

    def decode(self, stream):
        for frame in self._decode(stream):
            self.counted.append(frame.time)
            yield frame


def test_a_variable_rate_is_read_evenly_in_time(folder):
    times = [index / 24 for index in range(60)] + [60 / 24 + index / 6 for index in range(20)]  # slow from 2.5 s on
    path = write_video(folder / "variable.mkv", FRAMES[:80], times=times)
    with Video(clip(path)) as video:
        seconds = [index / video.fps for index in range(video.num_frames)]
        shown = [max(k for k, time in enumerate(times) if time <= second + 0.25 / video.fps) for second in seconds]
        assert numbers(video.read(range(video.num_frames), SIDE)) == [index & VISIBLE for index in shown]


def test_a_high_rate_is_read_at_thirty(folder):
    path = write_video(folder / "fast.mp4", FRAMES, fps=60)
    with Video(clip(path)) as video:
        assert video.fps == 30 and video.num_frames == 60
        assert numbers(video.read([0, 1, 30], SIDE)) == [index & VISIBLE for index in (0, 2, 60)]


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_rotated_video_stands_upright(folder, rotation):
    upright = np.zeros((48, 64, 3), np.uint8)
    upright[:12] = 255  # a bright top
    stored = np.rot90(upright, -round(rotation / 90))
    path = write_video(folder / f"turned{rotation}.mp4", [np.ascontiguousarray(stored)] * 4, rotation=rotation)
    with Video(clip(path)) as video:
        frame = video.read([1], SIDE)[0]
    assert frame[:8].mean() > 200 and frame[20:].mean() < 30


def damaged(folder):
    data = bytearray(write_video(folder / "whole.mp4", scene(40, 0)).read_bytes())
    middle = data.index(b"mdat") + len(data) // 3
    data[middle : middle + 400] = bytes(range(256)) + bytes(144)
    (folder / "damaged.mp4").write_bytes(data)
    return folder / "damaged.mp4"


def cut_off(folder):
    data = write_video(folder / "whole.mp4", FRAMES).read_bytes()
    (folder / "cut.mp4").write_bytes(data[: len(data) // 2])
    return folder / "cut.mp4"


def empty(folder):
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def text(folder):
    (folder / "text.mp4").write_text("not a video")
    return folder / "text.mp4"


def untimed(folder):
    return write_video(folder / "untimed.mpeg", FRAMES, codec="libx264")


@pytest.mark.parametrize(
    "make, reason",
    [
        (empty, "not a video"),
        (text, "not a video"),
        (cut_off, "not a video"),
        (damaged, "does not decode"),
        (untimed, "does not decode .frames without a time"),
        (lambda folder: write_audio(folder / "audio.mp4"), "no video track"),
        (lambda folder: folder / "gone.mp4", "not a video"),
    ],
)
def test_a_bad_file_is_one_clear_reason(folder, make, reason):
    path = make(folder)
    with pytest.raises(ClipError, match=reason), Video(clip(path)) as video:
        video.read(range(video.num_frames), SIDE)


def test_the_judged_part_bounds_a_clip(folder):
    path = write_video(folder / "part.mp4", FRAMES)
    with Video(clip(path, first_frame=20, num_frames=50)) as video:
        assert video.num_frames == 50
        assert numbers(video.read([0, 49], SIDE)) == [20 & VISIBLE, 69 & VISIBLE]


def test_a_folder_lists_captioned_clips_and_names_the_rest(tmp_path):
    for name in ("a.mp4", "b.mp4", "silent.mp4", "uncaptioned.mp4"):
        (tmp_path / name).touch()
    rows = [
        {"file": "b.mp4", "caption": "a cat"},
        {"file": "a.mp4", "caption": "ein Hund, groß", "id": "dog"},
        {"file": "b.mp4", "caption": "again"},
        {"file": "silent.mp4", "caption": " "},
        {"file": "gone.mp4", "caption": "x"},
    ]
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    clips, skipped = collect(tmp_path)
    assert [(entry.id, entry.caption) for entry in clips] == [("b.mp4", "a cat"), ("dog", "ein Hund, groß")]
    assert skipped == {"duplicate id": ["b.mp4"], "no caption": ["silent.mp4", "uncaptioned.mp4"], "no such file": ["gone.mp4"]}
    assert "2 no caption: silent.mp4, uncaptioned.mp4" in summary(skipped)


def test_shards_are_read_in_place(tmp_path):
    for key in ("one", "two"):
        write_video(tmp_path / f"{key}.mp4", FRAMES[: 30 if key == "one" else 40])
    (tmp_path / "one.txt").write_text("first")
    (tmp_path / "two.json").write_text('{"caption": "second"}')
    write_video(tmp_path / "three.mp4", FRAMES[:8])
    files = [tmp_path / name for name in ("one.mp4", "one.txt", "two.json", "two.mp4", "three.mp4")]
    shard = write_shard(tmp_path / "000.tar", files)
    for file in files:
        file.unlink()
    clips, skipped = collect(tmp_path)
    assert [entry.caption for entry in clips] == ["first", "second"] and skipped == {"no caption": ["three"]}
    with Video(clips[1]) as video:
        assert video.num_frames == 40 and numbers(video.read([33], SIDE)) == [33 & VISIBLE]

    (tmp_path / "manifest.jsonl").write_text(
        "".join(json.dumps({**relative(entry, tmp_path), "kept": entry.id == "two"}) + "\n" for entry in clips)
    )
    again, _ = collect(tmp_path / "manifest.jsonl")
    with Video(again[0]) as video:
        assert len(again) == 1 and video.num_frames == 40

    shard.write_bytes(shard.read_bytes()[: clips[1].offset + 100])  # the copy broke off
    clips, skipped = collect(tmp_path)
    assert [entry.caption for entry in clips] == ["first"]
    assert any("breaks off" in reason for reason in skipped)


def test_very_many_clips_are_listed_once(tmp_path, monkeypatch):
    monkeypatch.setattr(clips_module, "INDEXED", 3)
    write_video(tmp_path / "a.mp4", FRAMES[:10])
    names = ("a.mp4", "b.mp4", "c.mp4", "ü.mp4")
    for name in names[1:]:
        (tmp_path / name).touch()
    write_captions(tmp_path, {**{name: f"caption of {name}" for name in names}, "gone.mp4": "x"})
    plain = [Clip(name, f"caption of {name}", tmp_path / name) for name in names]
    listed, skipped = collect(tmp_path)
    assert list(listed) == plain and listed[3] == plain[3] and len(listed) == 4 and skipped == {"no such file": ["gone.mp4"]}
    assert list(pickle.loads(pickle.dumps(listed))) == plain
    with Video(listed[0]) as video:
        assert video.num_frames == 10
    with monkeypatch.context() as patch:
        patch.setattr(clips_module, "_find", None)  # nothing is listed again
        again, told = collect(tmp_path)
        assert list(again) == plain and told == skipped
    (tmp_path / "gone.mp4").touch()
    assert [clip.id for clip in collect(tmp_path)[0]] == [*names, "gone.mp4"]
    rows = "".join(json.dumps({**relative(clip, tmp_path / "sub"), "kept": True}) + "\n" for clip in plain)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "manifest.jsonl").write_text(rows)
    of_manifest = collect(tmp_path / "sub" / "manifest.jsonl")[0]
    assert len(of_manifest) == 4 and of_manifest[0].path.samefile(plain[0].path)
    (tmp_path / "sub" / "manifest.jsonl").write_text(rows.partition("\n")[0])
    assert len(collect(tmp_path / "sub" / "manifest.jsonl")[0]) == 1


def test_where_no_index_can_be_written_clips_are_listed_anew(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(clips_module, "INDEXED", 1)
    (tmp_path / "a.mp4").touch()
    write_captions(tmp_path, {"a.mp4": "x"})
    (tmp_path / ".clips-index").touch()  # where its folder would be
    assert collect(tmp_path) == ([Clip("a.mp4", "x", tmp_path / "a.mp4")], {})
    assert "each start lists them anew" in capsys.readouterr().out


def test_a_malformed_caption_costs_its_own_sample_alone(tmp_path):
    captions = {"a": '{"caption": "first"}', "b": "{broken", "c": '["no object"]', "d": '{"caption": "last"}'}
    for key, words in captions.items():
        (tmp_path / f"{key}.json").write_text(words)
        (tmp_path / f"{key}.mp4").touch()
    (tmp_path / "c.txt").write_text("said beside it")
    write_shard(tmp_path / "000.tar", sorted(tmp_path.glob("?.*")))
    clips, skipped = collect(tmp_path)
    assert {entry.id: entry.caption for entry in clips} == {"a": "first", "c": "said beside it", "d": "last"}
    assert skipped == {"malformed .json": ["b"]}


@pytest.mark.parametrize(
    "prepare, message",
    [
        (lambda folder: folder / "missing", "expected a folder"),
        (lambda folder: folder, "expected one of captions.csv"),
        (lambda folder: (folder / "captions.csv").write_text("name,words\na.mp4,b\n") and folder, "columns file and caption"),
        (lambda folder: (folder / "captions.jsonl").write_text("{broken") and folder, "expected UTF-8 JSONL"),
        (lambda folder: write_captions(folder, {"gone.mp4": "x"}) or folder, "found none"),
    ],
)
def test_a_collection_that_cannot_be_read_is_one_sentence(tmp_path, prepare, message):
    with pytest.raises(ValueError, match=message):
        collect(prepare(tmp_path))
