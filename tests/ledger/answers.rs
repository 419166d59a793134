//! What a ledger keeps of answers that put a write off.

use truce::ledger::{Batch, Ledger, PUT_OFF, Receipt};
use truce::reconcile::{LinkId, Side};

use crate::people::at;

/// A write that is tried for hours leaves one row for each thing that it waited for, not one a try.
pub(crate) async fn a_write_that_is_put_off_again_for_the_same_leaves_no_other_answer(
    ledger: &impl Ledger,
) {
    let link = LinkId(90);
    let told = |sequence: u32, side, answer: &str, words: Option<&str>| Receipt {
        link,
        side,
        sequence,
        at: at(i64::from(sequence)),
        answer: answer.to_owned(),
        words: words.map(ToOwned::to_owned),
    };
    let locked = |sequence, side| told(sequence, side, PUT_OFF, Some("UNABLE_TO_LOCK_ROW"));
    let given = [
        locked(1, Side::Crm),
        locked(2, Side::Crm),
        locked(3, Side::Campaign),
        told(4, Side::Crm, PUT_OFF, None),
        told(5, Side::Crm, PUT_OFF, None),
        locked(6, Side::Crm),
        told(7, Side::Crm, "done", None),
        told(8, Side::Crm, "done", None),
        locked(9, Side::Crm),
    ];
    for receipt in given {
        let receipts = vec![receipt];
        ledger.store(Batch { receipts, ..Batch::new(at(0)) }).await.unwrap();
    }
    let kept = ledger.receipts(link, 20).await.unwrap();
    let kept: Vec<u32> = kept.iter().map(|receipt| receipt.sequence).collect();
    assert_eq!(kept, [9, 8, 7, 6, 4, 3, 1]);
}
