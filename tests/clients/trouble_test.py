"""Trouble that a test orders, as the library sees it."""

import requests
from simple_salesforce.exceptions import SalesforceGeneralError, SalesforceRefusedRequest

from world import World, order


class Trouble(World):
    def test_an_unavailable_server_says_so_in_its_own_form(self):
        order("/fail", status=503)
        with self.assertRaises(SalesforceGeneralError) as caught:
            self.contacts.create({"LastName": "Roe"})
        self.assertEqual(caught.exception.status, 503)
        self.assertEqual(caught.exception.content[0]["errorCode"], "SERVER_UNAVAILABLE")

    def test_a_page_of_the_edge_is_no_json(self):
        order("/fail", kind="html", status=502)
        with self.assertRaises(SalesforceGeneralError) as caught:
            self.client.query("SELECT Id FROM Contact")
        self.assertTrue(caught.exception.content.startswith("<html>"))

    def test_a_lost_answer_leaves_its_effect(self):
        order("/fail", kind="reset", effect="after")
        with self.assertRaises(requests.exceptions.ConnectionError):
            self.contacts.create({"LastName": "Roe"})
        self.assertEqual(self.client.query("SELECT COUNT() FROM Contact")["totalSize"], 1)

    def test_a_trigger_rewrites_what_is_written(self):
        order("/trigger", object="Contact", field="Title", rewrite="upper")
        record = self.contacts.create({"LastName": "Roe", "Title": "dr"})["id"]
        self.assertEqual(self.contacts.get(record)["Title"], "DR")

    def test_too_many_long_calls_are_refused(self):
        order("/concurrency", busy=25)
        with self.assertRaises(SalesforceRefusedRequest) as caught:
            self.client.limits()
        self.assertEqual(caught.exception.content[0]["errorCode"], "REQUEST_LIMIT_EXCEEDED")
        self.assertIn("ConcurrentRequests", caught.exception.content[0]["message"])
