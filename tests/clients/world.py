"""The simulated organisation that the tests of this folder are clients of.

`TRUCE_SIMULATOR` holds the line that `truce simulate salesforce` prints, `TRUCE_CA_FILE` the
certificate to trust and `TRUCE_JWT_KEY` the key whose certificate the simulator was given.
"""

import csv
import functools
import io
import itertools
import json
import os
import unittest
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceError

TOLD = json.loads(os.environ["TRUCE_SIMULATOR"])
BASE = TOLD["base_url"]
CONTROL = TOLD["control_url"]
CA_FILE = os.environ["TRUCE_CA_FILE"]
JWT_KEY = os.environ["TRUCE_JWT_KEY"]
VERSION = "66.0"

_numbers = itertools.count(1)


class Detour(HTTPAdapter):
    """Leads what is meant for a login host of Salesforce to the simulator.

    The library writes these hosts into its code; once it has logged in, it goes where the answer
    says, which must be the simulator again.
    """

    def send(self, request, *args, **kwargs):
        meant = urlsplit(request.url)
        if meant.hostname.endswith(".salesforce.com"):
            here = urlsplit(BASE)
            request.url = meant._replace(scheme=here.scheme, netloc=here.netloc).geturl()
        return super().send(request, *args, **kwargs)


@functools.cache
def session():
    """The session of all tests, since each takes its time to read the authorities. It trusts
    the simulator's certificate and nothing of the environment."""
    made = requests.Session()
    made.trust_env = False
    made.verify = CA_FILE
    made.mount("https://", Detour())
    return made


def connect(version=VERSION, **credentials):
    """A client that has logged in; as the app itself where no credentials are given."""
    if not credentials:
        credentials = {
            "domain": "example.my",
            "consumer_key": TOLD["client_id"],
            "consumer_secret": TOLD["client_secret"],
        }
    return Salesforce(version=version, session=session(), **credentials)


def order(path, **what):
    """Gives an order at the control address."""
    answer = requests.post(CONTROL + path, json=what, timeout=30)
    assert answer.status_code == 200, f"{path}: {answer.text}"
    return answer.json()


def look(path):
    """Looks at something through the control address."""
    return requests.get(CONTROL + path, timeout=30).json()


def key():
    """An external id that no other record has."""
    return f"client:{next(_numbers)}"


def table(text):
    """The rows of a CSV text."""
    return list(csv.DictReader(io.StringIO(text)))


class World(unittest.TestCase):
    """A fresh organisation and a client of it for each test."""

    longMessage = True

    def setUp(self):
        order("/reset")
        order("/clock", offset_s=0, scale=1)
        order("/tokens", lifetime_s=7200, rotate=False)
        self.client = connect()
        self.contacts = self.client.Contact

    def refused(self, kind, code, call, *args, **kwargs):
        """The call must raise this error, and its body must have the documented form."""
        with self.assertRaises(kind) as caught:
            call(*args, **kwargs)
        first = caught.exception.content[0]
        self.assertEqual(first["errorCode"], code)
        self.assertTrue(first["message"])
        return caught.exception

    def post(self, path, body, method="POST"):
        """Sends JSON to a resource that the library has no name for."""
        return self.client.restful(path, method=method, data=json.dumps(body))

    def make(self, count, **fields):
        """Creates contacts by collections; their ids, in order."""
        records = [
            {"attributes": {"type": "Contact"}, "LastName": "Many", "Truce_Id__c": key(), **fields}
            for _ in range(count)
        ]
        ids = []
        while records:
            batch, records = records[:200], records[200:]
            answers = self.post("composite/sobjects", {"allOrNone": True, "records": batch})
            self.assertTrue(all(answer["success"] for answer in answers), answers[:1])
            ids += [answer["id"] for answer in answers]
        return ids


__all__ = [
    "BASE", "CA_FILE", "CONTROL", "JWT_KEY", "SalesforceError", "TOLD", "VERSION", "World",
    "connect", "key", "look", "order", "session", "table",
]
