"""Find, size and fetch public checkpoints by hub name or local path, and record where they came from.

A download that was cut goes on where it was.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants, metadata_load, snapshot_download
from huggingface_hub.errors import HTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils.sha import sha_fileobj

WEIGHTS = ("diffusion_pytorch_model", "model", "pytorch_model")  # names of weight files in diffusers and transformers
ENDINGS = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json")  # in order of preference


@dataclass(frozen=True)
class Found:
    """A source and the files of it that will be read; nothing is fetched yet."""

    name: str  # of the source
    repository: str | None  # of the hub; None for local files
    file: str | None  # the one that the source names; None: it is a folder
    sizes: dict[str, int]  # bytes of each file, by its path in the source
    commit: str | None  # of the repository
    licence: str

    @property
    def missing_bytes(self) -> int:
        """Bytes that a download still has to bring, without files that an earlier one brought."""
        if self.repository is None:
            return 0
        cache = Path(constants.HF_HUB_CACHE) / f"models--{self.repository.replace('/', '--')}" / "snapshots" / self.commit
        return sum(size for name, size in self.sizes.items() if not (cache / name).exists())

    def fetch(self) -> Path:
        """Download what is missing; return the local folder, or the file if the source names one."""
        if self.repository is None:
            return Path(self.name).expanduser()
        folder = Path(_reach(snapshot_download, self.repository, revision=self.commit, allow_patterns=list(self.sizes)))
        return folder / self.file if self.file else folder

    def record(self, path: Path) -> dict:
        """Describe the origin, with a hash of every file, for a provenance file; `path` is what `fetch` returned."""
        top, hashes = path.parent if path.is_file() else path, {}
        for name in sorted(name for name in self.sizes if not name.endswith(".md")):
            with (top / name).open("rb") as file:
                hashes[name] = sha_fileobj(file).hex()
        return {"source": self.name, "commit": self.commit, "licence": self.licence, "sha256": hashes}


def find(name: str, folders: tuple[str, ...] = ("",), optional: tuple[str, ...] = ()) -> Found:
    """Look at a public checkpoint without fetching it.

    name: a local folder or file, "owner/repository[@revision]" or "owner/repository/file[@revision]". folders: that it must
    have; "" is the top. optional: further ones, taken if it has them.
    Raises ValueError, in one sentence, for a path or repository that does not exist, a hub out of reach or a missing part.
    """
    path, repository, file, commit = Path(name).expanduser(), None, None, None
    if path.exists() or name.startswith(("/", ".", "~")) or "/" not in name:
        if not path.exists():
            raise ValueError(f"expected a folder, a file or a hub repository (owner/name), got {name}: no such thing")
        if path.is_file():
            path, file = path.parent, path.name
        files = [path / file] if file else [found for found in path.rglob("*") if found.is_file()]
        sizes = {found.relative_to(path).as_posix(): found.stat().st_size for found in files}
        card = (metadata_load(path / "README.md") or {}) if "README.md" in sizes else {}
    else:
        place, _, revision = name.partition("@")
        owner, repository, *inner = place.split("/")
        repository, file = f"{owner}/{repository}", "/".join(inner) or None
        info = _reach(HfApi().model_info, repository, revision=revision or None, files_metadata=True)
        sizes, commit, card = {part.rfilename: part.size or 0 for part in info.siblings}, info.sha, info.card_data or {}
        if file and file not in sizes:
            raise ValueError(f"expected the file {file} in {repository}, which does not have it")
    wanted = [file] if file else _wanted(list(sizes), name, folders, optional)
    return Found(name, repository, file, {name: sizes[name] for name in wanted}, commit, card.get("license") or "not stated")


def _wanted(names: list[str], source: str, folders: tuple[str, ...], optional: tuple[str, ...]) -> list[str]:
    """Choose the configuration files and, in full precision and one format, the weights of each folder; and the licence."""
    wanted = [name for name in names if name.partition(".")[0] in ("README", "LICENSE")]  # at the top alone
    for folder in (*folders, *optional):
        inside = {name: os.path.basename(name) for name in names if os.path.dirname(name) == folder}
        settings = [name for name, base in inside.items() if base.endswith((".json", ".txt")) and ".index." not in base]
        if not settings and folder in folders:
            raise ValueError(f"expected {folder or 'a configuration'} in {source}, found none")
        files = [stem + ending for ending in ENDINGS for stem in WEIGHTS if stem + ending in inside.values()]
        if settings and files:
            shards = files[0].removesuffix(".safetensors.index.json").removesuffix(".bin.index.json") + "-"
            settings += [name for name, base in inside.items() if base == files[0] or base.startswith(shards)]
        wanted += settings
    return list(dict.fromkeys(wanted))


def load(source: str, *kinds: type) -> list:
    """Load an object of each transformers class from a folder or hub repository: from the cache, if it is there.

    The hub is asked once for what the cache lacks. Left to themselves, the libraries retry for over a minute without network.
    Raises ValueError, in one sentence, where the source cannot be reached or does not load.
    """
    try:
        return [kind.from_pretrained(source, local_files_only=True) for kind in kinds]
    except (OSError, ValueError):
        folder = find(source).fetch()
    try:
        return [kind.from_pretrained(folder) for kind in kinds]
    except (OSError, ValueError) as error:
        raise ValueError(f"expected {kinds[0].__name__} in {source}, found none that loads: {first_line(error)}") from error


def _reach(call, repository: str, **options):
    """Call the hub; raise ValueError, in one sentence, where it fails."""
    try:
        return call(repository, **options)
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        revision = options.get("revision")
        at = f" at {revision}" if revision else ""
        raise ValueError(f"expected the public repository {repository}{at} on the hub, which does not show it") from error
    except (OSError, HTTPError) as error:
        raise ValueError(
            f"expected to reach the hub ({constants.ENDPOINT}) for {repository}, could not: {first_line(error)}; the same "
            "command goes on where it was, and local folders need no hub"
        ) from error


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
