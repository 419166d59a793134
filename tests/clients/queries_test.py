"""Queries, and what describes them: pages, literals, describe, limits, versions."""

import datetime

from simple_salesforce import format_soql
from simple_salesforce.exceptions import SalesforceMalformedRequest

from world import BASE, VERSION, World, connect, order, session

UTC = datetime.timezone.utc


class Queries(World):
    def test_pages_follow_each_other_without_a_gap(self):
        ids = self.make(405)
        asked = "SELECT Id FROM Contact ORDER BY Id"
        small = {"Sforce-Query-Options": "batchSize=200"}
        page = self.client.query(asked, headers=small)
        self.assertEqual((page["done"], page["totalSize"], len(page["records"])), (False, 405, 200))
        self.assertIn(f"/services/data/v{VERSION}/query/0r8", page["nextRecordsUrl"])
        rest = self.client.query_more(page["nextRecordsUrl"], identifier_is_url=True)
        self.assertEqual(len(rest["records"]), 200, "the size stays with the cursor")
        found = [row["Id"] for row in self.client.query_all_iter(asked, headers=small)]
        self.assertEqual(found, sorted(ids))

    def test_an_expired_cursor_is_refused(self):
        self.make(201)
        asked = "SELECT Id FROM Contact"
        page = self.client.query(asked, headers={"Sforce-Query-Options": "batchSize=200"})
        order("/cursors", expire=True)
        next_page = page["nextRecordsUrl"]
        self.refused(
            SalesforceMalformedRequest, "INVALID_QUERY_LOCATOR",
            self.client.query_more, next_page, identifier_is_url=True,
        )

    def test_literals_are_written_as_the_library_writes_them(self):
        odd = "it's \\ 100% \"odd\" é_"
        ids = self.make(2, Title=odd) + self.make(1, Title="100 per cent")
        since = datetime.datetime.now(UTC) - datetime.timedelta(hours=1)
        cases = [
            (format_soql("Title = {}", odd), 2),
            (format_soql("Title LIKE '%{:like}%'", "100%"), 2),
            (format_soql("Id IN {}", ids[1:]), 2),
            (format_soql("SystemModstamp >= {} AND IsDeleted = {}", since, False), 3),
            (format_soql("SystemModstamp < {}", since), 0),
            (format_soql("Birthdate = {} OR Title = {}", None, "x"), 3),
        ]
        for condition, expected in cases:
            with self.subTest(condition):
                answer = self.client.query("SELECT COUNT() FROM Contact WHERE " + condition)
                self.assertEqual((answer["totalSize"], answer["records"]), (expected, []))

    def test_mistakes_point_at_their_place(self):
        mistakes = [
            ("MALFORMED_QUERY", "SELECT Id FRM Contact"),
            ("INVALID_FIELD", "SELECT Unknown FROM Contact"),
            ("INVALID_TYPE", "SELECT Id FROM Unknown"),
        ]
        for code, text in mistakes:
            error = self.refused(SalesforceMalformedRequest, code, self.client.query, text)
            self.assertIn("ERROR at Row:1:Column:", error.content[0]["message"])

    def test_parents_come_as_records_of_their_own(self):
        firm = self.client.Account.create({"Name": "Acme"})["id"]
        self.make(1, AccountId=firm)
        row = self.client.query("SELECT Account.Name FROM Contact")["records"][0]
        self.assertEqual(row["Account"]["Name"], "Acme")
        self.assertEqual(row["Account"]["attributes"]["type"], "Account")


class Metadata(World):
    def test_versions_need_no_login(self):
        answer = session().get(BASE + "/services/data/", timeout=30)
        versions = [version["version"] for version in answer.json()]
        self.assertEqual((versions[0], versions[-1]), ("31.0", "68.0"))
        self.assertIn(VERSION, versions)

    def test_every_object_is_listed(self):
        listed = self.client.describe()
        self.assertEqual((listed["encoding"], listed["maxBatchSize"]), ("UTF-8", 200))
        by_name = {one["name"]: one for one in listed["sobjects"]}
        contact = by_name["Contact"]
        self.assertEqual((contact["keyPrefix"], contact["custom"]), ("003", False))
        for flag in ("createable", "updateable", "deletable", "queryable", "replicateable"):
            self.assertIs(contact[flag], True, flag)
        self.assertEqual(contact["urls"]["describe"],
                         f"/services/data/v{VERSION}/sobjects/Contact/describe")

    def test_an_object_is_described_in_full(self):
        described = self.contacts.describe()
        fields = {field["name"]: field for field in described["fields"]}
        self.assertLessEqual(
            {"Id", "CreatedDate", "LastModifiedDate", "SystemModstamp", "IsDeleted"}, set(fields)
        )
        name, own = fields["LastName"], fields["Truce_Id__c"]
        self.assertEqual((name["nillable"], name["length"], name["byteLength"]), (False, 80, 240))
        self.assertEqual((own["externalId"], own["unique"], own["idLookup"]), (True, True, True))
        keys = set(name)
        for field in fields.values():
            self.assertEqual(set(field), keys, field["name"])
            for value in field["picklistValues"]:
                self.assertEqual(
                    set(value), {"active", "defaultValue", "label", "validFor", "value"}
                )
        self.assertTrue(described["recordTypeInfos"][-1]["master"])

    def test_usage_is_told_with_every_answer(self):
        daily = self.client.limits()["DailyApiRequests"]
        self.assertLess(daily["Remaining"], daily["Max"])
        usage = self.client.api_usage["api-usage"]
        self.assertEqual(usage.total, daily["Max"])
        self.assertEqual(usage.used, daily["Max"] - daily["Remaining"])

    def test_a_used_up_quota_is_a_refusal(self):
        order("/quota", max=10, used=10)
        with self.assertRaises(Exception) as caught:
            self.client.limits()
        self.assertEqual(caught.exception.status, 403)
        self.assertEqual(caught.exception.content[0]["errorCode"], "REQUEST_LIMIT_EXCEEDED")


class Replication(World):
    def test_changed_and_deleted_ids_are_told_by_the_minute(self):
        kept, gone = self.make(2)
        self.contacts.delete(gone)
        now = datetime.datetime.now(UTC)
        window = (now - datetime.timedelta(minutes=2), now + datetime.timedelta(minutes=2))
        changed = self.contacts.updated(*window)
        self.assertEqual(changed["ids"], [kept])
        self.assertRegex(changed["latestDateCovered"], r":00\.000\+0000$")
        deleted = self.contacts.deleted(*window)
        self.assertEqual([record["id"] for record in deleted["deletedRecords"]], [gone])
        self.assertIn("earliestDateAvailable", deleted)

    def test_an_open_transaction_holds_the_covered_date_back(self):
        order("/clock", at="2030-05-01T10:00:00Z", scale=0)
        # A session of before the jump is old.
        contacts = connect().Contact
        order("/hold", seconds=600)
        record = contacts.create({"LastName": "Late"})["id"]
        order("/clock", at="2030-05-01T10:05:30Z")
        start = datetime.datetime(2030, 5, 1, 9, 58, tzinfo=UTC)
        end = datetime.datetime(2030, 5, 1, 10, 5, tzinfo=UTC)
        answer = contacts.updated(start, end)
        self.assertEqual(answer["ids"], [])
        self.assertEqual(answer["latestDateCovered"], "2030-05-01T10:00:00.000+0000")
        order("/clock", at="2030-05-01T10:10:00Z")
        answer = contacts.updated(start, end)
        self.assertEqual(answer["ids"], [record])
        self.assertEqual(answer["latestDateCovered"], "2030-05-01T10:05:00.000+0000")

