import json
import math

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import structural_similarity

from loopanimate import metrics
from tests.videos import scene, write_captions, write_video
from train import evaluate
from train.settings import EvaluateSettings

FEW = {"num_frames": 5, "steps": 2, "seeds": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    Image.fromarray(scene(1, 0)[0]).save(folder / "disc.png")
    write_video(folder / "clip.mp4", scene(4, 1))
    (folder / "broken.png").write_text("no picture")
    write_captions(folder, {"disc.png": "a disc sways", "clip.mp4": "it drifts to the left", "broken.png": "nothing"})
    return folder


def test_measures_by_their_definitions():
    rng = np.random.default_rng(0)
    embeddings, picture = rng.standard_normal((5, 8)), rng.standard_normal(8)

    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))

    assert metrics.clip_i(embeddings, picture) == pytest.approx(sum(cosine(row, picture) for row in embeddings) / 5)
    pairs = [cosine(embeddings[k], embeddings[k + 1]) for k in range(4)]
    assert metrics.frame_consistency(embeddings) == pytest.approx(sum(pairs) / 4)
    assert metrics.loop_consistency(embeddings) == pytest.approx(cosine(embeddings[0], embeddings[4]))
    frames = rng.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    other = frames[0].copy()
    other[0, 0, 0] ^= 16  # one value by 16
    assert metrics.mse_f0(other, frames[0]) == pytest.approx(256 / frames[0].size)
    similar = [structural_similarity(frames[0], frame, channel_axis=-1) for frame in frames[1:]]
    assert metrics.motion(frames) == pytest.approx(1 - sum(similar) / 2)
    assert metrics.motion(np.stack([frames[0]] * 3)) == pytest.approx(0)


def test_table_2_of_a_512_pipeline(data, small_512, tmp_path, capsys):
    small_512.save_pretrained(tmp_path / "trained")
    settings = EvaluateSettings(
        preset="512", checkpoint=str(tmp_path / "trained"), data=str(data), output=str(tmp_path / "out"), **FEW
    )
    means = evaluate.evaluate(settings)
    assert "broken.png" in capsys.readouterr().out
    table = json.loads((tmp_path / "out" / "table.json").read_text())
    assert set(table["loops"]) == {"disc.png-0", "clip.mp4-0"}
    for name in evaluate.COLUMNS:
        assert means[name] == pytest.approx(sum(row[name] for row in table["loops"].values()) / 2)
    assert means["MSE_F0"] > 0  # an untrained network, ends free as in the paper
    told = (tmp_path / "out" / "table.md").read_text()
    assert "| LoopAnimate stage 3 (paper) | 0.956 | 47.200 | 0.987 | 0.851 | 0.969 | 35 |" in told
    assert f"{means['CLIP-I']:.3f}" in told and "vbench is not installed" in told
    assert (
        Image.open(tmp_path / "out" / "sheets" / "disc.png-0.png").width
        == 8 * Image.open(tmp_path / "out" / "sheets" / "disc.png-0.png").height
    )
    again = EvaluateSettings(
        **{**vars(settings), "output": str(tmp_path / "held"), "hold_ends": True, "against": (str(tmp_path / "out"),)}
    )
    evaluate.evaluate(again)
    pages = [(tmp_path / "held" / name).read_text() for name in ("find_the_cut.html", "rating.html")]
    assert [page.count("data:image/jpeg") for page in pages] == [2 * 4, 2 * 2 * 4]


def test_clips_of_any_method_are_measured_alike(data, small_512, tmp_path):
    small_512.save_pretrained(tmp_path / "trained")
    ours = {"preset": "512", "checkpoint": str(tmp_path / "trained"), "data": str(data), "output": str(tmp_path / "ours")}
    evaluate.evaluate(EvaluateSettings(**ours, **FEW))
    small_512.image_encoder.save_pretrained(tmp_path / "clip")
    rival = tmp_path / "rival"
    rival.mkdir()
    asked = {"data": str(data), "videos": str(rival), "against": (str(tmp_path / "ours"),), "clip": str(tmp_path / "clip")}
    settings = EvaluateSettings(output=str(tmp_path / "out"), **asked)
    write_video(rival / "disc-0.mp4", scene(7, 3))
    write_video(rival / "disc-1.mp4", scene(7, 4))
    with pytest.raises(ValueError, match=r"such as clip.mp4, found none of 1 pictures"):
        evaluate.evaluate(settings)
    write_video(rival / "clip.mp4", scene(9, 5))
    means = evaluate.evaluate(settings)
    table = json.loads((tmp_path / "out" / "table.json").read_text())
    assert {name: row["frames"] for name, row in table["loops"].items()} == {"disc.png-0": 7, "disc.png-1": 7, "clip.mp4-0": 9}
    frames = np.stack([Image.fromarray(frame).crop((16, 0, 112, 96)) for frame in scene(7, 4)])
    assert table["loops"]["disc.png-1"]["Motion"] == pytest.approx(metrics.motion(frames), abs=0.02)  # but for its coding
    of_picture = {name: np.mean([table["loops"][f"disc.png-{seed}"][name] for seed in (0, 1)]) for name in evaluate.COLUMNS}
    for name in evaluate.COLUMNS:
        assert means[name] == pytest.approx((of_picture[name] + table["loops"]["clip.mp4-0"][name]) / 2)
        assert table["interval"][name][0] <= means[name] <= table["interval"][name][1]
    own = json.loads((tmp_path / "ours" / "table.json").read_text())["mean"]
    told = (tmp_path / "out" / "table.md").read_text()
    assert f"| 512, {tmp_path / 'trained'} | {own['CLIP-I']:.3f} (" in told and "| 7 to 9 |" in told
    assert f"| this run minus 512, {tmp_path / 'trained'}, paired | {means['CLIP-I'] - own['CLIP-I']:.3f} (" in told


def test_an_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(1)
    found = [evaluate.interval(dict(enumerate(rng.normal(5, 2, 40)))) for _ in range(300)]
    assert 0.9 < np.mean([low <= 5 <= high for low, high in found]) < 0.98
    assert evaluate.interval({"one": 1.0}) is None and evaluate.interval(None) is None


def test_a_checkpoint_is_measured_as_it_was_trained(data, small_512, tmp_path):
    small_512.save_pretrained(tmp_path)
    record = {"num_frames": 7, "numbers": {"mask": "ones"}}
    pipe = type(small_512).from_pretrained(tmp_path)
    seen = {}

    class Watched(type(pipe)):
        def __call__(self, **options):
            seen.update(options)
            return super().__call__(**options)

    pipe.__class__ = Watched
    entry, settings = evaluate.entries(str(data))[0], EvaluateSettings(steps=1)
    for told, expected in ((None, (35, True)), (record, (7, False)), ({**record, "numbers": {"mask": "salient"}}, (7, True))):
        if told:
            (tmp_path / "training.json").write_text(json.dumps(told))
        evaluate.loop_frames(pipe, entry, settings, 0)
        assert (seen["num_frames"], seen["mask_image"] is not None) == expected
    evaluate.loop_frames(pipe, entry, EvaluateSettings(steps=1, num_frames=5), 0)
    assert seen["num_frames"] == 5


def test_the_motion_preset_has_no_clip(data, tmp_path):
    means = evaluate.evaluate(EvaluateSettings(data=str(data), output=str(tmp_path), **FEW))
    assert means["CLIP-I"] is means["FC"] is means["Loop-C"] is None
    assert means["MSE_F0"] == 0  # it warps the picture itself
    assert "n/a: weights missing" in (tmp_path / "table.md").read_text()


def test_pictures_of_one_name_in_two_folders_are_two(tmp_path):
    names = ("a/cat.png", "b/cat.png", "a=2Fcat.png")
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(scene(1, number)[0]).save(tmp_path / name)
    write_captions(tmp_path, {name: f"the cat of {name}" for name in names})
    evaluate.evaluate(EvaluateSettings(data=str(tmp_path), output=str(tmp_path / "out"), **FEW))
    loops = json.loads((tmp_path / "out" / "table.json").read_text())["loops"]
    assert [row["caption"] for row in loops.values()] == [f"the cat of {name}" for name in names]
    assert {path.stem for path in (tmp_path / "out" / "loops").iterdir()} == set(loops)


def test_no_picture_is_one_sentence(tmp_path):
    (tmp_path / "broken.png").write_text("no picture")
    write_captions(tmp_path, {"broken.png": "x"})
    with pytest.raises(ValueError, match="expected captioned pictures or clips"):
        evaluate.evaluate(EvaluateSettings(data=str(tmp_path), output=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()
