"""Jobs of Bulk API 2.0 by the library's own steps."""

from world import World, key, order, table

PATIENCE = 0.05


class Bulk(World):
    def setUp(self):
        super().setUp()
        self.jobs = self.client.bulk2.Contact

    def ended(self, job, total, failed):
        self.assertEqual((job["numberRecordsProcessed"], job["numberRecordsFailed"]), (total, failed))
        return job["job_id"]

    def test_an_insert_answers_for_every_row(self):
        rows = [{"LastName": f"Bulk {n}", "Title": "two\nlines, \"q\" é", "Truce_Id__c": key()}
                for n in range(5)]
        rows.append({"LastName": "", "Title": "no name", "Truce_Id__c": key()})
        job = self.ended(self.jobs.insert(records=rows, wait=PATIENCE)[0], 6, 1)
        good = table(self.jobs.get_successful_records(job))
        self.assertEqual([row["sf__Created"] for row in good], ["true"] * 5)
        bad = table(self.jobs.get_failed_records(job))
        self.assertEqual(bad[0]["sf__Id"], "")
        self.assertTrue(bad[0]["sf__Error"].startswith("REQUIRED_FIELD_MISSING:"), bad)
        self.assertEqual(table(self.jobs.get_unprocessed_records(job)), [])
        self.assertEqual(self.contacts.get(good[0]["sf__Id"])["Title"], "two\nlines, \"q\" é")

    def test_an_update_tells_empty_from_null(self):
        emptied, left = self.make(2, Title="here")
        rows = [{"Id": emptied, "Title": "#N/A"}, {"Id": left, "Title": ""}]
        self.ended(self.jobs.update(records=rows, wait=PATIENCE)[0], 2, 0)
        titles = [self.contacts.get(record)["Title"] for record in (emptied, left)]
        self.assertEqual(titles, [None, "here"])

    def test_an_upsert_tells_new_from_old(self):
        old = key()
        self.contacts.create({"LastName": "Old", "Truce_Id__c": old})
        rows = [{"LastName": "New", "Truce_Id__c": number} for number in (old, key())]
        done = self.jobs.upsert(records=rows, external_id_field="Truce_Id__c", wait=PATIENCE)
        job = self.ended(done[0], 2, 0)
        made = {row["Truce_Id__c"]: row["sf__Created"]
                for row in table(self.jobs.get_successful_records(job))}
        self.assertEqual(made.pop(old), "false")
        self.assertEqual(list(made.values()), ["true"])

    def test_a_query_is_read_by_locators(self):
        self.make(6)
        asked = "SELECT Id, LastName, Truce_Id__c FROM Contact"
        pages = [table(page) for page in self.jobs.query(asked, max_records=4, wait=PATIENCE)]
        self.assertEqual([len(page) for page in pages], [4, 2])
        self.assertEqual(list(pages[0][0]), ["Id", "LastName", "Truce_Id__c"])
        self.assertEqual(len({row["Id"] for page in pages for row in page}), 6)

    def test_deleted_rows_are_read_by_query_all(self):
        ids = self.make(3)
        rows = [{"Id": record} for record in ids[:2]]
        self.ended(self.jobs.delete(records=rows, wait=PATIENCE)[0], 2, 0)
        asked = "SELECT Id, IsDeleted FROM Contact"
        whole = [row for page in self.jobs.query_all(asked, wait=PATIENCE) for row in table(page)]
        self.assertEqual(sorted(row["IsDeleted"] for row in whole), ["false", "true", "true"])

    def test_a_row_that_is_locked_is_told_by_its_code(self):
        record = self.make(1)[0]
        order("/fail-record", key=record, statusCode="UNABLE_TO_LOCK_ROW")
        done = self.jobs.update(records=[{"Id": record, "Title": "x"}], wait=PATIENCE)
        job = self.ended(done[0], 1, 1)
        bad = table(self.jobs.get_failed_records(job))
        self.assertTrue(bad[0]["sf__Error"].startswith("UNABLE_TO_LOCK_ROW:"), bad)
