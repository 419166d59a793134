"""Records one by one: what the library writes, reads back and is refused."""

from simple_salesforce.exceptions import (
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceResourceNotFound,
)

from world import World, key, order

MALFORMED = SalesforceMalformedRequest


class Records(World):
    def value(self, name, record):
        return self.contacts.get(record)[name]

    def test_a_record_is_found_by_both_forms_of_its_id_and_by_its_key(self):
        number = key()
        made = self.contacts.create({"LastName": "Roe", "Truce_Id__c": number})
        self.assertEqual((made["success"], made["errors"], len(made["id"])), (True, [], 18))
        ways = [
            self.contacts.get(made["id"]),
            self.contacts.get(made["id"][:15]),
            self.contacts.get_by_custom_id("Truce_Id__c", number),
        ]
        for record in ways:
            self.assertEqual(record["Id"], made["id"])
            self.assertEqual(record["attributes"]["type"], "Contact")
            self.assertTrue(record["attributes"]["url"].endswith("/Contact/" + made["id"]))
            self.assertRegex(record["SystemModstamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000\+0000$")

    def test_text_is_kept_as_salesforce_keeps_it(self):
        record = self.contacts.create({"LastName": "Roe", "Title": "first"})["id"]
        kept = [("second", "second"), (None, None), ("third", "third"), ("", None), (" \t a b\n", "a b")]
        for given, expected in kept:
            self.assertEqual(self.contacts.update(record, {"Title": given}), 204)
            self.assertEqual(self.value("Title", record), expected, repr(given))
        self.contacts.update(record, {"Email": "Jo.Roe@Example.COM", "Score__c": 12.34567})
        self.assertEqual(self.value("Email", record), "jo.roe@example.com")
        self.assertEqual(self.value("Score__c", record), 12.34567, "the scale is for display")

    def test_an_upsert_creates_then_updates(self):
        path = "Truce_Id__c/" + key()
        answers = [
            self.contacts.upsert(path, {"LastName": "Roe"}, raw_response=True),
            self.contacts.upsert(path, {"LastName": "Doe"}, raw_response=True),
        ]
        self.assertEqual([answer.status_code for answer in answers], [201, 200])
        bodies = [answer.json() for answer in answers]
        self.assertEqual([body["created"] for body in bodies], [True, False])
        self.assertEqual(bodies[0]["id"], bodies[1]["id"])
        self.assertEqual(self.value("LastName", bodies[0]["id"]), "Doe")

    def test_an_upsert_by_a_key_of_two_records_offers_both(self):
        order("/fields", object="Contact", fields=[
            {"name": "Batch__c", "type": "string", "length": 9, "externalId": True}
        ])
        self.make(2, Batch__c="b")
        with self.assertRaises(SalesforceMoreThanOneRecord) as caught:
            self.contacts.upsert("Batch__c/b", {"LastName": "Roe"})
        self.assertEqual(len(caught.exception.content), 2)
        self.assertIn("/sobjects/Contact/003", caught.exception.content[0])

    def test_each_mistake_has_its_code(self):
        number = key()
        record = self.contacts.create({"LastName": "Roe", "Truce_Id__c": number})["id"]
        create, update = self.contacts.create, self.contacts.update
        mistakes = [
            ("REQUIRED_FIELD_MISSING", create, {"Title": "no name"}),
            ("INVALID_FIELD", create, {"LastName": "Roe", "Unknown__c": 1}),
            ("DUPLICATE_VALUE", create, {"LastName": "Roe", "Truce_Id__c": number}),
            ("STRING_TOO_LONG", create, {"LastName": "x" * 81}),
            ("INVALID_EMAIL_ADDRESS", create, {"LastName": "Roe", "Email": "nobody"}),
            ("JSON_PARSER_ERROR", create, {"LastName": "Roe", "Birthdate": "yesterday"}),
            ("INVALID_FIELD_FOR_INSERT_UPDATE", lambda body: update(record, body),
             {"SystemModstamp": "2020-01-01T00:00:00Z"}),
            ("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", lambda body: update(record, body),
             {"LeadSource": "Pigeon"}),
        ]
        for code, call, body in mistakes:
            with self.subTest(code):
                self.assertEqual(self.refused(MALFORMED, code, call, body).status, 400)

    def test_what_is_deleted_is_told_from_what_never_was(self):
        record = self.contacts.create({"LastName": "Roe"})["id"]
        self.assertEqual(self.contacts.delete(record), 204)
        get = self.contacts.get
        self.refused(SalesforceResourceNotFound, "ENTITY_IS_DELETED", get, record)
        self.refused(SalesforceResourceNotFound, "NOT_FOUND", get, "003000000000001AAA")
        asked = f"SELECT IsDeleted FROM Contact WHERE Id = '{record}'"
        self.assertEqual(self.client.query(asked)["totalSize"], 0)
        bin_ = self.client.query_all(asked, include_deleted=True)["records"]
        self.assertEqual([row["IsDeleted"] for row in bin_], [True])
        order("/undelete", object="Contact", ids=[record])
        self.assertEqual(get(record)["Id"], record)
