//! What `[campaign]` says of how carefully its database is touched, in the words of its doors.

use std::time::Duration;

use crate::campaign::apply::WriteOptions;
use crate::campaign::capture::FeedOptions;
use crate::campaign::scan::ScanOptions;
use crate::config::Campaign;
use crate::postgres::ServerUrl;

/// How much of the log one page may hold in memory, about.
const PAGE_BYTES: usize = 8 << 20;

/// The server, with how long it may be silent. A limit that the address itself names stands.
pub(super) fn server(campaign: &Campaign, url: ServerUrl) -> ServerUrl {
    let url = url.with_keepalive(campaign.keepalive_seconds.get());
    if campaign.url.as_str().contains("connect_timeout=") {
        return url;
    }
    url.with_connect_timeout(campaign.connect_timeout_seconds.get())
}

pub(super) fn feed(campaign: &Campaign, url: ServerUrl) -> FeedOptions {
    FeedOptions {
        url,
        schema: campaign.schema.as_str().into(),
        slot: campaign.slot.as_str().into(),
        publication: campaign.publication.as_str().into(),
        rows: campaign.change_rows.size(),
        bytes: PAGE_BYTES,
        idle: campaign.save_seconds.get(),
        idle_bytes: megabytes(campaign.save_megabytes.get()),
        statement_timeout: campaign.statement_timeout_seconds.get(),
        feedback: campaign.feedback_seconds.get(),
        read_delay: millis(campaign.read_delay_ms.get()),
    }
}

pub(super) fn scan(campaign: &Campaign) -> ScanOptions {
    ScanOptions {
        rows: campaign.scan_rows.size(),
        statement_timeout: campaign.statement_timeout_seconds.get(),
    }
}

pub(super) fn write(campaign: &Campaign) -> WriteOptions {
    WriteOptions {
        rows: campaign.write_rows.size(),
        keys: campaign.key_batch.size(),
        lock_timeout: millis(campaign.lock_timeout_ms.get()),
    }
}

/// How much of the log the slot may keep before it is an alarm, in bytes.
pub(super) fn retained_max(campaign: &Campaign) -> u64 {
    megabytes(campaign.retained_megabytes_max.get())
}

fn millis(number: u32) -> Duration {
    Duration::from_millis(u64::from(number))
}

fn megabytes(number: u32) -> u64 {
    u64::from(number) << 20
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::parsed_with;

    #[test]
    fn each_key_reaches_its_door() {
        let campaign = parsed_with(
            "connect_timeout_seconds = 3
             keepalive_seconds = 9
             lock_timeout_ms = 123
             statement_timeout_seconds = 7
             write_rows = 11
             scan_rows = 12
             change_rows = 13
             key_batch = 14
             read_delay_ms = 15
             feedback_seconds = 16
             save_seconds = 17
             save_megabytes = 18
             retained_megabytes_max = 190",
        )
        .campaign;
        let url: ServerUrl = campaign.url.as_str().parse().unwrap();
        let url = server(&campaign, url);
        let seconds = Duration::from_secs;
        assert_eq!((url.connect_timeout(), url.keepalive()), (seconds(3), seconds(9)));
        let expected = FeedOptions {
            url: url.clone(),
            schema: "public".into(),
            slot: "truce".into(),
            publication: "truce".into(),
            rows: 13,
            bytes: PAGE_BYTES,
            idle: seconds(17),
            idle_bytes: 18 << 20,
            statement_timeout: seconds(7),
            feedback: seconds(16),
            read_delay: Duration::from_millis(15),
        };
        assert_eq!(feed(&campaign, url), expected);
        assert_eq!(scan(&campaign), ScanOptions { rows: 12, statement_timeout: seconds(7) });
        let lock_timeout = Duration::from_millis(123);
        assert_eq!(write(&campaign), WriteOptions { rows: 11, keys: 14, lock_timeout });
        assert_eq!(retained_max(&campaign), 190 << 20);
    }
}
