"""An object store that speaks S3, with conditional writes, on a free port of 127.0.0.1; what it holds is in memory.

server.py --bucket NAME --dir DIR: makes the bucket and writes the port to DIR/port.
"""

import argparse
import logging
import pathlib
import threading

import boto3
from moto.server import ThreadedMotoServer

parser = argparse.ArgumentParser()
parser.add_argument("--bucket", required=True)
parser.add_argument("--dir", type=pathlib.Path, required=True)
args = parser.parse_args()

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
client = boto3.client(
    "s3",
    endpoint_url=f"http://{host}:{port}",
    region_name="us-east-1",
    aws_access_key_id="test",
    aws_secret_access_key="test",
)
client.create_bucket(Bucket=args.bucket)
(args.dir / "port.new").write_text(str(port))
(args.dir / "port.new").rename(args.dir / "port")
threading.Event().wait()
