//! Machines by an EC2 Fleet of type instant: all of them, in one zone and of one type, or none.

use super::super::Cloud;
use super::super::cloud::refused;
use super::{Had, invalid, tags};
use crate::model::{Answer, Order, Refusal, Source};
use aws_sdk_ec2::types::{
    DefaultTargetCapacityType, FleetLaunchTemplateConfigRequest,
    FleetLaunchTemplateOverridesRequest, FleetLaunchTemplateSpecificationRequest, FleetType,
    InstanceType, OnDemandOptionsRequest, ResourceType, TagSpecification,
    TargetCapacitySpecificationRequest,
};

impl Cloud {
    /// The machines that came under that key. What the launch brings is seen a moment later.
    pub(super) async fn launched(&self, order: &Order) -> Had<Vec<String>> {
        self.keyed(order).await
    }

    pub(super) async fn launch(&self, order: &Order) -> Had<Vec<String>> {
        let there = self.keyed(order).await?;
        if !there.is_empty() {
            return Ok(there);
        }
        let count = i32::try_from(order.machines).unwrap_or(i32::MAX);
        let capacity = TargetCapacitySpecificationRequest::builder()
            .total_target_capacity(count)
            .on_demand_target_capacity(count)
            .default_target_capacity_type(DefaultTargetCapacityType::OnDemand)
            .build();
        let whole = OnDemandOptionsRequest::builder()
            .single_instance_type(true)
            .single_availability_zone(true)
            .min_target_capacity(count)
            .build();
        let tagged = |kind| {
            TagSpecification::builder().resource_type(kind).set_tags(Some(tags(order))).build()
        };
        let made = self
            .ec2()
            .await
            .create_fleet()
            .client_token(&order.key)
            .r#type(FleetType::Instant)
            .launch_template_configs(template(&order.source))
            .target_capacity_specification(capacity)
            .on_demand_options(whole)
            .tag_specifications(tagged(ResourceType::Instance))
            .tag_specifications(tagged(ResourceType::Fleet))
            .send();
        let need = "ec2:CreateFleet, ec2:RunInstances, ec2:CreateTags, and iam:PassRole for the template's profile";
        let made = made.await.map_err(|error| refused(&error, need))?;
        let machines: Vec<String> =
            made.instances().iter().flat_map(|it| it.instance_ids()).cloned().collect();
        if !machines.is_empty() {
            return Ok(machines);
        }
        let why = |error: &aws_sdk_ec2::types::CreateFleetError| {
            let code = error.error_code().unwrap_or("an error without a code");
            format!("{code}: {}", error.error_message().unwrap_or_default())
        };
        let mut whys: Vec<String> = made.errors().iter().map(why).collect();
        whys.dedup();
        let message = whys.join("; ");
        Err(match whys.iter().any(|why| why.starts_with("RequestLimitExceeded")) {
            true => Answer::Refused(Refusal::Busy { retry_after: None, message }),
            false if message.is_empty() => invalid("the fleet brought nothing".into()),
            false => invalid(message),
        })
    }

    /// Ends those of the order, and no others.
    pub(super) async fn end(&self, order: &Order, machines: &[String]) -> Had<Vec<String>> {
        let there = self.keyed(order).await?;
        let ours: Vec<String> =
            there.iter().filter(|machine| machines.contains(machine)).cloned().collect();
        if !ours.is_empty() {
            let ended = self.ec2().await.terminate_instances().set_instance_ids(Some(ours.clone()));
            let ended = ended.send().await;
            ended.map_err(|error| refused(&error, "ec2:TerminateInstances"))?;
        }
        Ok(there.into_iter().filter(|machine| !ours.contains(machine)).collect())
    }
}

fn template(source: &Source) -> FleetLaunchTemplateConfigRequest {
    let Source::Fleet { launch_template, version, instance_type, subnets } = source else {
        return FleetLaunchTemplateConfigRequest::builder().build();
    };
    let named = FleetLaunchTemplateSpecificationRequest::builder().version(version);
    let named = match launch_template.starts_with("lt-") {
        true => named.launch_template_id(launch_template),
        false => named.launch_template_name(launch_template),
    };
    let kind = InstanceType::from(instance_type.as_str());
    let override_ = |subnet: Option<&String>| {
        FleetLaunchTemplateOverridesRequest::builder()
            .instance_type(kind.clone())
            .set_subnet_id(subnet.cloned())
            .build()
    };
    let overrides = match subnets.is_empty() {
        true => vec![override_(None)],
        false => subnets.iter().map(|subnet| override_(Some(subnet))).collect(),
    };
    FleetLaunchTemplateConfigRequest::builder()
        .launch_template_specification(named.build())
        .set_overrides(Some(overrides))
        .build()
}
