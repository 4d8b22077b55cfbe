import json
import multiprocessing
import os

import numpy as np
import pytest
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

from tests.hub import serve
from tests.videos import scene, write_captions, write_shard, write_video
from train import curate
from train.clips import Video, collect
from train.settings import CurateSettings

WORDS = {"f": 3, "caption_check": False, "processes": 2}


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collection")
    videos = {
        "sways.mp4": scene(40, 0),
        "cut.mp4": scene(12, 0) + [255 - frame[::-1, :, ::-1] for frame in scene(12, 7)],
        "still.mp4": scene(1, 0) * 40,
        "leaves.mp4": scene(40, 0, drift=2.5),
        "two shots.mp4": [255 - frame[::-1, :, ::-1] for frame in scene(14, 7)] + scene(40, 0),
        "short.mp4": scene(10, 0),
        "empty.mp4": [np.full((96, 128, 3), 90, np.uint8) + np.uint8(index) for index in range(40)],
    }
    for name, frames in videos.items():
        write_video(folder / name, frames)
    (folder / "broken.mp4").write_bytes(b"broken")
    (folder / "uncaptioned.mp4").write_bytes(b"")
    write_captions(folder, dict.fromkeys([*videos, "broken.mp4"], "a disc sways"))
    return folder


def rows(folder):
    return {row["id"]: row for row in map(json.loads, (folder / "manifest.jsonl").read_text().splitlines())}


@pytest.fixture(scope="module")
def curated(collection, tmp_path_factory):
    folder = tmp_path_factory.mktemp("curated")
    return folder, curate.curate(CurateSettings(data=str(collection), output=str(folder), **WORDS))


def test_each_clip_is_kept_or_rejected_for_its_reason(curated):
    folder, counts = curated
    found = rows(folder)
    expected = {
        "sways.mp4": None,
        "cut.mp4": "camera cut",
        "still.mp4": "nothing moves",
        "short.mp4": "shorter than 13 frames",
        "uncaptioned.mp4": "no caption",
    }
    assert {name: found[name]["reason"] for name in expected} == expected
    assert found["sways.mp4"]["kept"] and found["sways.mp4"]["stays"] > 0.8
    shot = found["two shots.mp4"]
    assert shot["kept"] and shot["cut"] > 0.55 and 14 <= shot["first_frame"] <= 19 and shot["num_frames"] >= 31
    (clip,) = [clip for clip in collect(folder / "manifest.jsonl")[0] if clip.id == "two shots.mp4"]
    with Video(clip) as video:
        assert video.first_frame == shot["first_frame"] and video.num_frames == shot["num_frames"]
    assert found["sways.mp4"]["first_frame"] == 0 and found["sways.mp4"]["num_frames"] == 40
    assert found["leaves.mp4"]["reason"] in ("no salient object at the end", "the object does not stay")
    assert found["broken.mp4"]["reason"].startswith("not a video")
    assert not found["empty.mp4"]["kept"]
    assert counts["kept"] == 2 and sum(counts.values()) == 9
    assert "nothing moves" in (folder / "summary.svg").read_text()


def test_the_manifest_is_what_training_reads(curated):
    clips, _ = collect(curated[0] / "manifest.jsonl")
    assert [clip.id for clip in clips] == ["sways.mp4", "two shots.mp4"]
    with Video(clips[0]) as video:
        assert video.num_frames == 40


def test_a_cut_run_goes_on_behind_the_last_whole_row(curated, collection, tmp_path):
    whole = (curated[0] / "manifest.jsonl").read_text().splitlines(keepends=True)
    kept = next(k for k, line in enumerate(whole) if json.loads(line)["kept"])
    settings = CurateSettings(data=str(collection), output=str(tmp_path), **WORDS)
    marked = whole[kept].replace('"kept": true', '"kept": true, "mark": 1')
    (tmp_path / "manifest.partial").write_text("".join(whole[:kept]) + marked + whole[kept + 1][:20])
    curate.curate(settings)
    again = (tmp_path / "manifest.jsonl").read_text().splitlines(keepends=True)
    assert again[kept] == marked  # not judged again
    strip = [[{**json.loads(line), "file": None, "mark": None} for line in lines] for lines in (whole, again)]
    assert strip[0] == strip[1]
    with pytest.raises(ValueError, match="expected f 3"):
        curate.curate(settings.model_copy(update={"f": 8}))


@pytest.mark.skipif(multiprocessing.get_start_method() != "fork", reason="the decoder is replaced in forked processes")
def test_a_decoder_that_crashes_is_a_row(collection, tmp_path, monkeypatch):
    class Crashing(Video):
        def __init__(self, clip):
            if clip.id == "leaves.mp4":
                os._exit(1)
            super().__init__(clip)

    monkeypatch.setattr(curate, "Video", Crashing)
    curate.curate(CurateSettings(data=str(collection), output=str(tmp_path), **WORDS))
    found = rows(tmp_path)
    assert len(found) == 9
    assert found["leaves.mp4"]["reason"] == "crashes its decoder"
    assert found["sways.mp4"]["kept"]


def test_the_caption_is_held_against_the_object(collection, tmp_path, small_512, monkeypatch):
    common = {
        "hidden_size": 32,
        "intermediate_size": 37,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "projection_dim": 32,
    }
    config = CLIPConfig(
        text_config={**common, **small_512.text_encoder.config.to_dict()},
        vision_config={**common, "image_size": 28, "patch_size": 14},
        projection_dim=32,
    )
    CLIPModel(config).save_pretrained(tmp_path / "clip")
    size = {"height": 28, "width": 28}
    images = CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=size)
    CLIPProcessor(images, small_512.tokenizer).save_pretrained(tmp_path / "clip")
    clip = next(clip for clip in collect(collection)[0] if clip.id == "sways.mp4")
    settings = CurateSettings(data=str(collection), output="", f=3, clip=str(tmp_path / "clip"), min_caption=-1.0)
    row = curate.judge(clip, settings)
    assert row["kept"] and -1 <= row["similarity"] <= 1
    row = curate.judge(clip, settings.model_copy(update={"min_caption": 1.0}))
    assert row["reason"] == "the object is not what the caption names"


def test_without_clip_weights_the_check_is_refused(collection, tmp_path):
    with pytest.raises(ValueError, match="no-caption-check"):
        curate.curate(CurateSettings(data=str(collection), output=str(tmp_path / "out"), clip=str(tmp_path / "none")))
    assert not (tmp_path / "out").exists()


def test_ray_judges_as_the_processes_do(collection, curated, tmp_path):
    ray = pytest.importorskip("ray", reason="Ray is optional")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        counts = curate.curate(CurateSettings(data=str(collection), output=str(tmp_path), **{**WORDS, "ray": True}))
    finally:
        ray.shutdown()
    assert counts == curated[1]
    assert {name: row["stays"] for name, row in rows(tmp_path).items() if "stays" in row} == {
        name: row["stays"] for name, row in rows(curated[0]).items() if "stays" in row
    }
    assert (tmp_path / "manifest.parquet").exists()


def test_a_shard_is_curated_in_place(collection, tmp_path):
    (tmp_path / "sways.txt").write_text("a disc sways")
    write_shard(tmp_path / "0.tar", [collection / "sways.mp4", tmp_path / "sways.txt"])
    curate.curate(CurateSettings(data=str(tmp_path / "0.tar"), output=str(tmp_path / "out"), **{**WORDS, "processes": 1}))
    clips, _ = collect(tmp_path / "out" / "manifest.jsonl")
    with Video(clips[0]) as video:
        assert video.num_frames == 40


def test_a_hub_is_asked_once_for_clip(monkeypatch):
    with serve({}) as (address, seen):
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        with pytest.raises(ValueError, match="does not show it; .* --no-caption-check"):
            curate.clip_model("maker/nothing")
    assert [path for path, _ in seen if "maker" in path] == ["api/models/maker/nothing"]
