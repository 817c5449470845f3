//! The simulated log keeps the contract of every log.

use crate::contract;
use jiff::Timestamp;
use medevac::simulation::Memory;

#[tokio::test(start_paused = true)]
async fn it_keeps_the_contract() {
    contract::holds(Memory::alone(Timestamp::now())).await;
}
