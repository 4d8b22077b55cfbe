"""A model hub on this machine: folders served as repositories, as huggingface_hub asks for them."""

import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

COMMIT = "c0ffee" + 34 * "0"


@contextmanager
def serve(repositories: dict[str, Path], cut: str | None = None):
    """Yields (address, requests seen as (path, Range header)); the first transfer of the file `cut` breaks off half-way."""
    seen: list[tuple[str, str | None]] = []

    class Hub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            path = urlsplit(self.path).path.strip("/")
            seen.append((path, self.headers.get("Range")))
            name = path.removeprefix("api/models/")
            repository = next(
                (name for name in repositories if f"{path}/".removeprefix("api/models/").startswith(f"{name}/")), None
            )
            if repository is None:
                return self._answer(b'{"error": "Repository not found"}', 404, {"X-Error-Code": "RepoNotFound"})
            folder = repositories[repository]
            asked = re.search(r"/(?:revision|resolve)/([0-9a-f]{40})\b", path)
            commit = asked[1] if asked else COMMIT
            files = sorted(file for file in folder.rglob("*") if file.is_file())
            sizes = [(file.relative_to(folder).as_posix(), file.stat().st_size) for file in files]
            if path.startswith("api/") and "/tree/" in path:
                tree = [{"type": "file", "path": name, "size": size, "oid": "0" * 40} for name, size in sizes]
                return self._answer(json.dumps(tree).encode())
            if path.startswith("api/"):
                siblings = [{"rfilename": name, "size": size, "blobId": "0" * 40} for name, size in sizes]
                licence = {"license": "openrail"}
                info = {
                    "id": repository,
                    "sha": commit,
                    "siblings": siblings,
                    "cardData": licence,
                    "tags": [],
                    "private": False,
                }
                return self._answer(json.dumps(info).encode())
            file = folder / name.split("/", 4)[-1]
            content = file.read_bytes()
            headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(content).hexdigest()}"', "Accept-Ranges": "bytes"}
            start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._answer(content[start:], 206 if start else 200, headers, file.as_posix().endswith(cut or "?") and not start)

        def _answer(self, body: bytes, status: int = 200, headers: dict | None = None, breaks: bool = False):
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), "Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body[: len(body) // 2] if breaks else body)
                self.close_connection = breaks

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
