"""Many records in a call: collections and composites."""

from simple_salesforce.exceptions import SalesforceMalformedRequest

from world import VERSION, World, key


def contact(**fields):
    return {"attributes": {"type": "Contact"}, **fields}


class Collections(World):
    def change(self, records, whole=False):
        body = {"allOrNone": whole, "records": records}
        return self.post("composite/sobjects", body, "PATCH")

    def test_two_hundred_and_no_more(self):
        self.assertEqual(len(set(self.make(201))), 201, "in two calls")
        records = [contact(LastName="Roe") for _ in range(201)]
        with self.assertRaises(SalesforceMalformedRequest):
            self.post("composite/sobjects", {"records": records})

    def test_one_bad_record_stops_itself_or_all(self):
        good, bad = self.make(2)
        records = [contact(id=good, Title="kept"), contact(id=bad, LastName=None)]
        answers = self.change(records)
        self.assertEqual([answer["success"] for answer in answers], [True, False])
        error = answers[1]["errors"][0]
        self.assertEqual(error["statusCode"], "REQUIRED_FIELD_MISSING")
        self.assertEqual(error["fields"], ["LastName"])
        records[0]["Title"] = "taken back"
        answers = self.change(records, whole=True)
        code = answers[0]["errors"][0]["statusCode"]
        self.assertEqual(code, "ALL_OR_NONE_OPERATION_ROLLED_BACK")
        self.assertEqual(self.contacts.get(good)["Title"], "kept")

    def test_upserts_say_what_they_created(self):
        old = key()
        self.contacts.create({"LastName": "Roe", "Truce_Id__c": old})
        records = [contact(LastName="Doe", Truce_Id__c=number) for number in (old, key())]
        answers = self.post("composite/sobjects/Contact/Truce_Id__c", {"records": records}, "PATCH")
        self.assertEqual([answer["created"] for answer in answers], [False, True])

    def test_what_is_gone_is_read_as_null(self):
        ids = self.make(3)
        self.contacts.delete(ids[1])
        asked = {"ids": ids, "fields": ["Id", "LastName"]}
        records = self.post("composite/sobjects/Contact", asked)
        self.assertEqual([record and record["Id"] for record in records], [ids[0], None, ids[2]])

    def test_deletes_take_ids_in_the_address(self):
        ids = self.make(205)
        for batch in (ids[:200], ids[200:]):
            answers = self.client.restful(
                "composite/sobjects", method="DELETE", params={"ids": ",".join(batch)}
            )
            self.assertTrue(all(answer["success"] for answer in answers))
        self.assertEqual(self.client.query("SELECT COUNT() FROM Contact")["totalSize"], 0)

    def test_a_composite_refers_to_what_it_made(self):
        base = f"/services/data/v{VERSION}/"
        answers = self.post("composite", {"allOrNone": True, "compositeRequest": [
            {"method": "POST", "url": base + "sobjects/Account", "referenceId": "firm",
             "body": {"Name": "Acme"}},
            {"method": "POST", "url": base + "sobjects/Contact", "referenceId": "person",
             "body": {"LastName": "Roe", "AccountId": "@{firm.id}"}},
        ]})["compositeResponse"]
        self.assertEqual([answer["httpStatusCode"] for answer in answers], [201, 201])
        person = self.contacts.get(answers[1]["body"]["id"])
        self.assertEqual(person["AccountId"], answers[0]["body"]["id"])
