"""The presets, and the networks that find what moves: sizes, defaults and where the weights come from."""

from dataclasses import dataclass, replace
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
# beside the package in a clone and on a Space, within it once installed
ASSETS = PACKAGE / "assets" if (PACKAGE / "assets").is_dir() else PACKAGE.parent / "assets"
MIN_FRAMES, MAX_FRAMES = 3, 35  # odd, first = last
NATIVE_FPS = 8  # frames a second of the network's own frames


@dataclass(frozen=True)
class Preset:
    name: str
    unet: dict  # arguments of LoopAnimateUNet that differ from its defaults
    scheduler: dict  # arguments of a DDIM scheduler
    num_inference_steps: int
    guidance_scale: float  # 1: no guidance
    guidance_interval: tuple[float, float]  # the part of the steps that is guided
    short_side: int  # latent cells on the short side
    checkpoint: Path | None  # bundled folder; None: nothing is published, bring a folder or a hub repository
    needs: str  # one sentence for a person choosing
    student_of: str = (
        ""  # the preset of whose sampler this one learned: its folder has a unet and a scheduler, the rest is there
    )


PRESETS = {
    "motion": Preset(
        name="motion",
        unet={
            "down_block_types": ("CrossAttnDownBlockMotion",) * 3,
            "up_block_types": ("CrossAttnUpBlockMotion",) * 3,
            "block_out_channels": (48, 96, 144),
            "layers_per_block": 1,
            "norm_num_groups": 16,
            "cross_attention_dim": 384,
            "num_attention_heads": (3, 6, 9),
            "motion_num_attention_heads": (3, 6, 9),
            "projects_text": True,
        },
        scheduler={
            "beta_start": 0.00085,
            "beta_end": 0.012,
            "beta_schedule": "scaled_linear",
            "prediction_type": "v_prediction",
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
            "clip_sample": False,
            "set_alpha_to_one": True,
        },
        num_inference_steps=8,
        guidance_scale=2.0,
        guidance_interval=(0.0, 0.6),  # what words decide is decided there
        short_side=12,
        checkpoint=ASSETS / "motion",
        needs="bundled with the project; slower, takes more steps and guidance",
    ),
    "512": Preset(
        name="512",
        unet={},
        scheduler={
            "beta_start": 0.00085,
            "beta_end": 0.012,
            "beta_schedule": "linear",
            "prediction_type": "epsilon",
            "clip_sample": False,
            "set_alpha_to_one": False,
            "steps_offset": 1,
        },
        num_inference_steps=25,
        guidance_scale=7.5,
        guidance_interval=(0.0, 1.0),
        short_side=64,
        checkpoint=None,
        needs="needs a CUDA GPU and a checkpoint that you trained: no weights of the paper's model were published",
    ),
}

PRESETS["quick"] = replace(
    PRESETS["motion"], name="quick", num_inference_steps=2, guidance_scale=1.0, guidance_interval=(0.0, 1.0),
    checkpoint=ASSETS / "quick", needs="bundled with the project: learned in two passes what motion does in 13, on any CPU",
    student_of="motion",
)  # fmt: skip
DEFAULT = "quick"

BUNDLED_SALIENT = "u2netp"


@dataclass(frozen=True)
class Salient:
    """A network for the salient object, as rembg calls it."""

    licence: str
    side: int = 1024  # pixels of both sides of what it sees
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    gives_logits: bool = False


SALIENT_MODELS = {  # by rembg's names; it downloads all but the bundled one
    BUNDLED_SALIENT: Salient("Apache-2.0", side=320),
    "u2net": Salient("Apache-2.0", side=320),
    "u2net_human_seg": Salient("Apache-2.0", side=320),
    "silueta": Salient("Apache-2.0", side=320),
    "isnet-general-use": Salient("Apache-2.0", mean=(0.5, 0.5, 0.5), std=(1.0, 1.0, 1.0)),
    "isnet-anime": Salient("Apache-2.0", std=(1.0, 1.0, 1.0)),
    "birefnet-general": Salient("MIT", gives_logits=True),
    "birefnet-general-lite": Salient("MIT", gives_logits=True),
    "birefnet-portrait": Salient("MIT", gives_logits=True),
    "birefnet-dis": Salient("MIT", gives_logits=True),
    "birefnet-hrsod": Salient("MIT", gives_logits=True),
    "birefnet-cod": Salient("MIT", gives_logits=True),
    "birefnet-massive": Salient("MIT", gives_logits=True),
}

# Networks that are asked in words where a thing is, by hub repository: the commit that is meant, whose weights are
# safetensors, and the licence. Of other repositories the newest commit is meant, or that of NAME@REVISION.
REGIONS_MODELS = {"CIDAS/clipseg-rd64-refined": ("999e0328d9e10b484360c477313983f9afdd7050", "Apache-2.0")}
# The same, of networks that say how near each pixel is.
DEPTH_MODELS = {"depth-anything/Depth-Anything-V2-Small-hf": ("5426e4f0f36572d16453bbda7a8389317b1bef99", "Apache-2.0")}


def check_num_frames(num_frames: int) -> None:
    """Raises ValueError unless `num_frames` is a count that the networks make."""
    if not (MIN_FRAMES <= num_frames <= MAX_FRAMES and num_frames % 2):
        raise ValueError(f"expected an odd frame count {MIN_FRAMES}..{MAX_FRAMES}, got {num_frames}")
