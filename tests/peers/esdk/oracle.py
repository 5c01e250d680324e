#!/usr/bin/env python3
"""Amazon's Encryption SDK for Python as the judge over claviger's envelopes.

It seals and opens messages of format version 2, suite 0x0478, with a KMS key behind any endpoint (a moto server on
loopback will do), and makes the known-answer vectors that the unit tests hold.
`pip install -r tests/peers/requirements.txt` gives it what it needs.

    oracle.py --endpoint http://127.0.0.1:5000 create-key
    oracle.py --endpoint http://127.0.0.1:5000 encrypt --key ARN --context use=certificate --in plain --out sealed
    oracle.py --endpoint http://127.0.0.1:5000 decrypt --key ARN --context use=certificate --in sealed --out plain
    oracle.py --endpoint http://127.0.0.1:5000 data-key --key ARN --context use=certificate
    oracle.py --endpoint http://127.0.0.1:5000 unwrap --key ARN --context use=certificate --in wrapped
    oracle.py vectors --out daemon/src/adapters/craft/envelope/vectors/python-sdk.json

Files default to standard input and output.
Exit status: 0 done, 1 refused (the reason on standard error), 2 wrong usage.
"""

import argparse
import base64
import json
import os
import sys
from pathlib import Path

import aws_encryption_sdk
import boto3
import botocore.session
from aws_encryption_sdk import CommitmentPolicy, StrictAwsKmsMasterKeyProvider
from aws_encryption_sdk.identifiers import AlgorithmSuite
from aws_encryption_sdk.key_providers.base import (
    MasterKey,
    MasterKeyConfig,
    MasterKeyProvider,
    MasterKeyProviderConfig,
)
from aws_encryption_sdk.structures import DataKey, EncryptedDataKey

SUITE = AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY
DEFAULT_FRAME = 4096


def main():
    arguments = parse()
    if arguments.endpoint:
        # The SDK makes its own KMS clients; this reaches all of them.
        os.environ["AWS_ENDPOINT_URL_KMS"] = arguments.endpoint
        os.environ.setdefault("AWS_ACCESS_KEY_ID", "testing")
        os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "testing")
    os.environ.setdefault("AWS_DEFAULT_REGION", arguments.region)
    try:
        arguments.run(arguments)
    except Exception as fault:  # any refusal is an answer, and the caller wants to read it
        print(f"{type(fault).__name__}: {fault}", file=sys.stderr)
        sys.exit(1)


def create_key(arguments):
    answer = kms(arguments).create_key(Description="claviger test key")
    print(answer["KeyMetadata"]["Arn"])


def encrypt(arguments):
    sealed, _ = client().encrypt(
        source=read(arguments),
        key_provider=provider(arguments),
        algorithm=SUITE,
        encryption_context=context(arguments),
        frame_length=arguments.frame_length,
    )
    write(arguments, sealed)


def decrypt(arguments):
    """Opens a message and insists that its context is exactly the one given."""
    plaintext, header = client().decrypt(source=read(arguments), key_provider=provider(arguments))
    if header.algorithm is not SUITE:
        raise ValueError(f"found suite {header.algorithm.name}, expected {SUITE.name}")
    if header.encryption_context != context(arguments):
        raise ValueError(f"found context {header.encryption_context}, expected {context(arguments)}")
    write(arguments, plaintext)


def data_key(arguments):
    answer = kms(arguments).generate_data_key(
        KeyId=arguments.key, KeySpec="AES_256", EncryptionContext=context(arguments)
    )
    parts = {"plaintext": answer["Plaintext"], "ciphertext": answer["CiphertextBlob"]}
    print(json.dumps({"keyArn": answer["KeyId"]} | {name: text(part) for name, part in parts.items()}))


def unwrap(arguments):
    """Lets KMS decrypt the data key that a message carries."""
    answer = kms(arguments).decrypt(
        KeyId=arguments.key, CiphertextBlob=read(arguments), EncryptionContext=context(arguments)
    )
    write(arguments, answer["Plaintext"])


class StaticConfig(MasterKeyConfig):
    provider_id = "aws-kms"


class StaticKey(MasterKey):
    """A master key whose data key is known to everybody: for vectors only."""

    provider_id = "aws-kms"
    _config_class = StaticConfig

    data_key = bytes(range(32))

    def _generate_data_key(self, algorithm, encryption_context):
        return DataKey(self.key_provider, self.data_key, self.wrapped())

    def _encrypt_data_key(self, data_key, algorithm, encryption_context):
        return EncryptedDataKey(self.key_provider, self.wrapped())

    def _decrypt_data_key(self, encrypted_data_key, algorithm, encryption_context):
        return DataKey(self.key_provider, self.data_key, encrypted_data_key.encrypted_data_key)

    def wrapped(self):
        return b"wrapped by " + self.key_id


class StaticProvider(MasterKeyProvider):
    provider_id = "aws-kms"
    _config_class = MasterKeyProviderConfig

    def _new_master_key(self, key_id):
        return StaticKey(config=StaticConfig(key_id=key_id))


def vectors(arguments):
    object_context = {
        "application": "claviger",
        "environment": "staging",
        "kind": "TlsCertificate",
        "namespace": "staging",
        "name": "web",
        "use": "certificate",
    }
    # U+FF61 sorts after U+1F511 in UTF-16 and before it in UTF-8: readers and writers must agree on bytes.
    foreign = {"stra\u00dfe": "K\u00f6ln", "\U0001f511": "key", "\uff61": "stop", "a": "1", "B": "2"}
    plan = [
        ("an object's context", object_context, 241, DEFAULT_FRAME, 1),
        ("no context", {}, 5, DEFAULT_FRAME, 1),
        ("a context beyond ASCII", foreign, 5, DEFAULT_FRAME, 1),
        ("nothing sealed", object_context, 0, DEFAULT_FRAME, 1),
        ("a byte less than a frame", object_context, 4095, DEFAULT_FRAME, 1),
        ("exactly a frame", object_context, 4096, DEFAULT_FRAME, 1),
        ("a byte more than a frame", object_context, 4097, DEFAULT_FRAME, 1),
        ("exactly two frames", object_context, 8192, DEFAULT_FRAME, 1),
        ("small frames", object_context, 400, 128, 1),
        ("one block", object_context, 241, 0, 1),
        ("one empty block", {}, 0, 0, 1),
        ("two wrapping keys", object_context, 241, DEFAULT_FRAME, 2),
    ]
    made = [vector(SUITE, CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT, *entry) for entry in plan]
    others = [
        ("a signed message", AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384),
        ("a message without commitment", AlgorithmSuite.AES_256_GCM_IV12_TAG16_HKDF_SHA256),
    ]
    lax = CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
    strict = CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
    refused = [
        vector(suite, strict if suite.is_committing() else lax, name, object_context, 241, DEFAULT_FRAME, 1)
        for name, suite in others
    ]
    about = "Made by tests/peers/esdk/oracle.py; the data key is public. Byte i of a plaintext is i mod 251."
    document = {"about": about, "dataKey": StaticKey.data_key.hex(), "opened": made, "refused": refused}
    write(arguments, (json.dumps(document, indent=1) + "\n").encode())


def vector(suite, policy, name, context, length, frame_length, wrapping_keys):
    arn = "arn:aws:kms:eu-west-1:111111111111:key/{:08d}-0000-4000-8000-000000000000"
    keys = [arn.format(number) for number in range(1, wrapping_keys + 1)]
    provider = StaticProvider()
    provider.add_master_keys_from_list(keys)
    plaintext = bytes(index % 251 for index in range(length))
    sealing = aws_encryption_sdk.EncryptionSDKClient(commitment_policy=policy)
    sealed, _ = sealing.encrypt(
        source=plaintext, key_provider=provider, algorithm=suite, encryption_context=context, frame_length=frame_length
    )
    return {
        "name": name,
        "context": context,
        "frameLength": frame_length,
        "plaintextLength": length,
        "keys": keys,
        "message": text(sealed),
    }


def client():
    return aws_encryption_sdk.EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)


def provider(arguments):
    return StrictAwsKmsMasterKeyProvider(key_ids=[arguments.key], botocore_session=botocore.session.Session())


def kms(arguments):
    return boto3.client("kms", region_name=arguments.region)


def context(arguments):
    return dict(entry.split("=", 1) for entry in arguments.context)


def read(arguments):
    return Path(arguments.input).read_bytes() if arguments.input else sys.stdin.buffer.read()


def write(arguments, content):
    if arguments.output:
        Path(arguments.output).write_bytes(content)
    else:
        sys.stdout.buffer.write(content)


def text(content):
    return base64.b64encode(content).decode()


def entry(given):
    if "=" not in given:
        raise argparse.ArgumentTypeError(f"found `{given}`, accepted: KEY=VALUE")
    return given


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", help="where KMS answers; credentials are made up when it is given")
    parser.add_argument("--region", default="eu-west-1")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name, run, *, key=False, files=False):
        one = commands.add_parser(name)
        one.set_defaults(run=run)
        if key:
            one.add_argument("--key", required=True, help="the ARN of the KMS key")
            one.add_argument("--context", action="append", default=[], type=entry, metavar="KEY=VALUE")
        if files:
            one.add_argument("--in", dest="input", help="default: standard input")
            one.add_argument("--out", dest="output", help="default: standard output")
        return one

    command("create-key", create_key)
    command("encrypt", encrypt, key=True, files=True).add_argument("--frame-length", type=int, default=DEFAULT_FRAME)
    command("decrypt", decrypt, key=True, files=True)
    command("data-key", data_key, key=True)
    command("unwrap", unwrap, key=True, files=True)
    command("vectors", vectors, files=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
