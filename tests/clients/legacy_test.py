"""Bulk API 1.0 and searches, which the library still offers."""

from world import World, key


class Legacy(World):
    def test_old_jobs_take_and_give_json(self):
        rows = [{"LastName": "Old", "Truce_Id__c": key()}, {"LastName": None}]
        good, bad = self.client.bulk.Contact.insert(rows)
        self.assertEqual((good["success"], good["created"], bad["success"]), (True, True, False))
        self.assertEqual(bad["errors"][0]["statusCode"], "REQUIRED_FIELD_MISSING")
        updated = self.client.bulk.Contact.update([{"Id": good["id"], "Title": "Dr"}])
        self.assertTrue(updated[0]["success"], updated)
        found = self.client.bulk.Contact.query("SELECT Id, Title FROM Contact")
        self.assertEqual([(row["Id"], row["Title"]) for row in found], [(good["id"], "Dr")])
        gone = self.client.bulk.Contact.delete([{"Id": good["id"]}])
        self.assertTrue(gone[0]["success"], gone)

    def test_a_search_finds_words(self):
        self.contacts.create({"LastName": "Roe", "Email": "roe@example.com"})
        self.contacts.create({"LastName": "Doe", "Title": "friend of Roe"})
        found = self.client.search("FIND {roe} IN ALL FIELDS RETURNING Contact(LastName)")
        names = sorted(record["LastName"] for record in found["searchRecords"])
        self.assertEqual(names, ["Doe", "Roe"])
        found = self.client.quick_search("roe@example.com")
        self.assertEqual(len(found["searchRecords"]), 1)
