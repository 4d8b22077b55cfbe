"""Find, size and fetch public checkpoints by hub name or local path, and record where they came from.

A download that was cut goes on where it was.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants, metadata_load, snapshot_download
from huggingface_hub.errors import HTTPError, RepositoryNotFoundError, RevisionNotFoundError

WEIGHTS = ("diffusion_pytorch_model", "model", "pytorch_model")  # names of weight files in diffusers and transformers
ENDINGS = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json")  # in order of preference


@dataclass(frozen=True)
class Source:
    """One public checkpoint, and which of its files are needed."""

    name: str  # a local folder or file, "owner/repository[@revision]", or "owner/repository/file[@revision]"
    folders: tuple[str, ...]  # that it must have; "" is the top
    optional: tuple[str, ...] = ()  # further folders, taken if it has them

    @property
    def is_local(self) -> bool:
        return Path(self.name).exists() or self.name.startswith(("/", ".", "~")) or self.name.count("/") == 0

    @property
    def hub(self) -> tuple[str, str | None, str | None]:
        """(repository, file or None, revision or None)."""
        name, _, revision = self.name.partition("@")
        parts = name.split("/")
        return "/".join(parts[:2]), "/".join(parts[2:]) or None, revision or None


@dataclass(frozen=True)
class Found:
    """A source and the files of it that will be read; nothing is fetched yet."""

    source: Source
    sizes: dict[str, int]  # bytes of each file, by its path in the source
    commit: str | None  # of the hub's repository; None for local files
    licence: str

    @property
    def bytes(self) -> int:
        return sum(self.sizes.values())

    @property
    def missing_bytes(self) -> int:
        """Bytes that a download still has to bring, without files that an earlier one brought."""
        if self.commit is None:
            return 0
        cache = Path(constants.HF_HUB_CACHE) / f"models--{self.source.hub[0].replace('/', '--')}" / "snapshots" / self.commit
        return sum(size for name, size in self.sizes.items() if not (cache / name).exists())

    def fetch(self) -> Path:
        """Download what is missing; return the local folder, or the file if the source names one."""
        if self.commit is None:
            return Path(self.source.name).expanduser()
        repository, file, _ = self.source.hub
        folder = _reach(snapshot_download, repository, revision=self.commit, allow_patterns=list(self.sizes))
        return Path(folder) / file if file else Path(folder)

    def record(self, path: Path) -> dict:
        """Describe the origin, with a hash of every file, for a provenance file; `path` is what `fetch` returned."""
        top = path.parent if path.is_file() else path
        hashes = {name: _sha256(top / name) for name in sorted(self.sizes) if not name.endswith(".md")}
        return {"source": self.source.name, "commit": self.commit, "licence": self.licence, "sha256": hashes}


def find(source: Source) -> Found:
    """Look at a source without fetching it.

    Raises ValueError, in one sentence, for a path or repository that does not exist, a hub out of reach or a missing part.
    """
    if source.is_local:
        path = Path(source.name).expanduser()
        if not path.exists():
            raise ValueError(f"expected a folder, a file or a hub repository (owner/name), got {source.name}: no such thing")
        if path.is_file():
            return Found(source, {path.name: path.stat().st_size}, None, "not stated")
        names = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
        wanted = _wanted(names, source)
        card = path / "README.md"
        licence = (metadata_load(card) or {}).get("license") if card.is_file() else None
        return Found(source, {name: (path / name).stat().st_size for name in wanted}, None, licence or "not stated")
    repository, file, revision = source.hub
    info = _reach(HfApi().model_info, repository, revision=revision, files_metadata=True)
    sizes = {sibling.rfilename: sibling.size or 0 for sibling in info.siblings}
    if file and file not in sizes:
        raise ValueError(f"expected the file {file} in {repository}, which does not have it")
    wanted = [file] if file else _wanted(list(sizes), source)
    licence = (info.card_data or {}).get("license") or "not stated"
    return Found(source, {name: sizes[name] for name in wanted}, info.sha, licence)


def _wanted(names: list[str], source: Source) -> list[str]:
    """Choose the configuration files and, in full precision and one format, the weights of each folder; and the licence."""
    wanted = [name for name in names if name.partition(".")[0] in ("README", "LICENSE")]  # at the top alone
    for folder in (*source.folders, *source.optional):
        inside = {name: os.path.basename(name) for name in names if os.path.dirname(name) == folder}
        settings = [name for name, base in inside.items() if base.endswith((".json", ".txt")) and ".index." not in base]
        if not settings:
            if folder in source.folders:
                raise ValueError(f"expected {folder or 'a configuration'} in {source.name}, found none")
            continue
        wanted += settings
        for ending in ENDINGS:
            stems = [stem for stem in WEIGHTS if stem + ending in inside.values()]
            if stems:
                shards = stems[0] + "-" if "index" in ending else stems[0] + ending
                wanted += [name for name, base in inside.items() if base.startswith(shards) or base == stems[0] + ending]
                break
    return list(dict.fromkeys(wanted))


def load(source: str, *kinds: type) -> list:
    """Load an object of each transformers class from a folder or hub repository: from the cache, if it is there.

    The hub is asked once for what the cache lacks. Left to themselves, the libraries retry for over a minute without network.
    Raises ValueError, in one sentence, where the source cannot be reached or does not load.
    """
    try:
        return [kind.from_pretrained(source, local_files_only=True) for kind in kinds]
    except (OSError, ValueError):
        folder = find(Source(source, ("",))).fetch()
    try:
        return [kind.from_pretrained(folder) for kind in kinds]
    except (OSError, ValueError) as error:
        raise ValueError(f"expected {kinds[0].__name__} in {source}, found none that loads: {_first_line(error)}") from error


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
            f"expected to reach the hub ({constants.ENDPOINT}) for {repository}, could not: {_first_line(error)}; the same "
            "command goes on where it was, and local folders need no hub"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()
