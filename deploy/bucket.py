"""Makes the bucket of a site where there is none yet: `python -m deploy.bucket URL BUCKET`; keys by the environment."""

from __future__ import annotations

import sys
import time

import s3fs
from botocore.exceptions import BotoCoreError

TRIES, SECONDS = 30, 2.0


def have_bucket(url: str, bucket: str) -> bool:
    """Whether it was made now; the server may take a minute to come up. Raises OSError where it stays away."""
    for attempt in range(1, TRIES + 1):
        try:
            server = s3fs.S3FileSystem(endpoint_url=url, use_listings_cache=False)
            if server.exists(bucket):
                return False
            server.mkdir(bucket)
            return True
        except (OSError, ValueError, BotoCoreError):
            if attempt == TRIES:
                raise
            time.sleep(SECONDS)
    raise AssertionError


if __name__ == "__main__":
    made = have_bucket(*sys.argv[1:3])
    print(f"{sys.argv[2]}: {'made' if made else 'is there'}")
