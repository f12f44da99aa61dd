"""A server on loopback that speaks as S3 does, and fails as often as it is told to."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

BUCKET = "results"


class Failing:
    """A WSGI application that answers some requests with 500 or 503 in place of the one it stands before."""

    def __init__(self, application: Any) -> None:
        self.application, self.share, self.failed, self._draw = application, 0.0, 0, random.Random(0)

    def __call__(self, environ: dict, start_response: Any) -> Any:
        if self._draw.random() < self.share:
            self.failed += 1
            start_response(self._draw.choice(["500 Internal Server Error", "503 Slow Down"]), [])
            return [b""]
        return self.application(environ, start_response)


@contextmanager
def s3_server() -> Iterator[tuple[str, Failing]]:
    """Its URL, and what makes it fail; it holds an empty bucket."""
    import boto3
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    failing = Failing(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, failing, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(Bucket=BUCKET)
    try:
        yield url, failing
    finally:
        server.shutdown()
        thread.join()
