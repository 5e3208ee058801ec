"""An S3-compatible server (moto's) for the tests, with two buckets."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

BUCKETS = ("given", "made")


@contextmanager
def s3_server() -> Iterator[Any]:
    """A server, named by AWS_ENDPOINT_URL for this process and those that it begins: its client."""
    with warnings.catch_warnings():  # of Python's own APIs that boto and moto use
        warnings.simplefilter("ignore", DeprecationWarning)
        import boto3
        from moto.server import ThreadedMotoServer

        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
            patch.setenv("AWS_ACCESS_KEY_ID", "testing")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            client = boto3.client("s3")
            for bucket in BUCKETS:
                client.create_bucket(Bucket=bucket)
                for key in objects(client, bucket):  # moto remembers those of an earlier server
                    client.delete_object(Bucket=bucket, Key=key)
            try:
                yield client
            finally:
                client.close()
                server.stop()


def objects(client: Any, bucket: str, prefix: str = "") -> dict[str, bytes]:
    """What lies in a bucket, by key."""
    listed = client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    keys = [entry["Key"] for entry in listed]
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
