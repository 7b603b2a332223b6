"""Makes the bucket that S3_BUCKET names, if it is not there; waits for the S3 server to answer.

The address and the keys are in MLFLOW_S3_ENDPOINT_URL, AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY, where MLflow looks for them too.
"""

import os
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

# Straight to the server: a proxy that is set for the internet knows nothing of it.
config = Config(proxies={}, connect_timeout=5, read_timeout=20)
s3 = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"], config=config)
bucket = os.environ["S3_BUCKET"]
end = time.monotonic() + 60
while True:
    try:
        if bucket not in [known["Name"] for known in s3.list_buckets()["Buckets"]]:
            s3.create_bucket(Bucket=bucket)
        break
    except EndpointConnectionError as error:
        if time.monotonic() > end:
            sys.exit(str(error))
        time.sleep(0.5)
    except ClientError as error:
        sys.exit(str(error))
