"""The library's ways in, and how it gets on when its session ends."""

from urllib.parse import urlsplit

from simple_salesforce.exceptions import SalesforceAuthenticationFailed, SalesforceExpiredSession
from simple_salesforce import Salesforce

from world import BASE, JWT_KEY, TOLD, VERSION, World, connect, look, order, session

APP = {"consumer_key": TOLD["client_id"], "consumer_secret": TOLD["client_secret"]}
PERSON = {"username": TOLD["username"], "domain": "login"}
SECRET = TOLD["password"] + TOLD["security_token"]


class Logins(World):
    def works(self, client):
        self.assertEqual(client.sf_instance, urlsplit(BASE).netloc)
        self.assertEqual(client.query("SELECT Name FROM Organization")["totalSize"], 1)

    def test_the_app_itself(self):
        self.works(connect())

    def test_a_password_and_the_app(self):
        self.works(connect(**PERSON, **APP, password=SECRET))

    def test_a_password_by_soap(self):
        token = TOLD["security_token"]
        self.works(
            connect("64.0", **PERSON, password=TOLD["password"], security_token=token)
        )

    def test_no_soap_from_version_65_on(self):
        with self.assertRaises(SalesforceAuthenticationFailed) as caught:
            connect(
                "65.0", **PERSON, password=TOLD["password"], security_token=TOLD["security_token"]
            )
        self.assertEqual(caught.exception.code, "UNSUPPORTED_API_VERSION")

    def test_an_assertion(self):
        self.works(connect(**PERSON, consumer_key=TOLD["client_id"], privatekey_file=JWT_KEY))

    def test_wrong_secrets_are_refused_in_the_form_the_library_reads(self):
        wrong = [
            ("invalid_grant", {**PERSON, **APP, "password": "wrong"}),
            ("invalid_client", {"domain": "example.my", **APP, "consumer_secret": "wrong"}),
            ("invalid_client_id", {"domain": "example.my", **APP, "consumer_key": "wrong"}),
            ("INVALID_LOGIN", {**PERSON, "password": "wrong", "security_token": "x"}),
        ]
        for code, credentials in wrong:
            with self.subTest(code), self.assertRaises(SalesforceAuthenticationFailed) as caught:
                connect("64.0", **credentials)
            self.assertEqual(caught.exception.code, code)

    def test_a_made_up_session_is_told_to_log_in(self):
        stranger = Salesforce(
            instance_url=BASE, session_id="made up", version=VERSION, session=session()
        )
        error = self.refused(
            SalesforceExpiredSession, "INVALID_SESSION_ID", stranger.query, "SELECT Id FROM User"
        )
        self.assertEqual(error.status, 401)

    def test_a_session_that_expires_is_renewed_once_and_the_write_made_once(self):
        before = self.client.session_id
        order("/tokens", expire=True)
        made = self.contacts.create({"LastName": "Renewed"})
        self.assertNotEqual(self.client.session_id, before)
        self.assertEqual(look("/counters")["by_kind"]["create"], 2, "one refused, one carried out")
        found = self.client.query("SELECT Id FROM Contact")["records"]
        self.assertEqual([record["Id"] for record in found], [made["id"]])
