//! Amazon Bedrock through the AWS SDK: Converse and ConverseStream.

use std::sync::Arc;

use super::catalog::Row;
use super::net::Net;
use super::{Choice, Draft, Env, Limits};
use crate::domain::chat::{ChatEvent, ChatRequest};
use crate::domain::failure::{ErrorClass, Failure};
use crate::domain::model::{ModelFacts, ModelName};

#[derive(Debug)]
pub struct Bedrock;

impl Bedrock {
    /// # Errors
    /// See [`super::Provider::open`].
    pub fn open(
        _row: &Row,
        _name: &ModelName,
        _facts: ModelFacts,
        _choice: &Choice,
        _net: &Arc<Net>,
        _env: Env<'_>,
    ) -> Result<Bedrock, Failure> {
        Err(Failure::new(ErrorClass::Config, "not yet"))
    }
    pub fn region(&self) -> Option<&str> {
        None
    }
    pub fn origins(&self) -> Vec<String> {
        Vec::new()
    }
    pub fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
    /// # Errors
    /// None yet.
    pub fn draft(&self, _request: &ChatRequest) -> Result<Draft, Failure> {
        Err(Failure::new(ErrorClass::Config, "not yet"))
    }
    /// # Errors
    /// None yet.
    pub async fn send(&self, _request: &ChatRequest, _limits: &Limits) -> Result<Arriving, Failure> {
        Err(Failure::new(ErrorClass::Config, "not yet"))
    }
}

pub struct Arriving;

impl Arriving {
    /// # Errors
    /// None yet.
    pub async fn next(&mut self, _out: &mut Vec<ChatEvent>) -> Result<bool, Failure> {
        Ok(false)
    }
    pub fn request_id(&self) -> Option<&str> {
        None
    }
}
