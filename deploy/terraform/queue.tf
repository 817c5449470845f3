# What AWS says of machines, by EventBridge into a queue that the daemon reads. A notice is worth nothing after minutes, and
# the daemon knows; what AWS plans and how backups ended is worth reading after a long weekend.
resource "aws_sqs_queue" "notices" {
  name                      = local.name
  message_retention_seconds = 345600
  receive_wait_time_seconds = 20
  sqs_managed_sse_enabled   = true
  tags                      = local.tags
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.left.arn
    maxReceiveCount     = 20
  })
}

resource "aws_sqs_queue" "left" {
  name                      = "${local.name}-left"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = local.tags
}

data "aws_iam_policy_document" "queue" {
  statement {
    sid       = "EventBridge"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.notices.arn]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [for rule in aws_cloudwatch_event_rule.notices : rule.arn]
    }
  }
  statement {
    sid       = "OnlyByTLS"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.notices.arn]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "notices" {
  queue_url = aws_sqs_queue.notices.url
  policy    = data.aws_iam_policy_document.queue.json
}

locals {
  # Every kind that the daemon understands.
  notices = {
    interruption = { source = ["aws.ec2"], "detail-type" = ["EC2 Spot Instance Interruption Warning"] }
    rebalance    = { source = ["aws.ec2"], "detail-type" = ["EC2 Instance Rebalance Recommendation"] }
    state        = { source = ["aws.ec2"], "detail-type" = ["EC2 Instance State-change Notification"] }
    reservation  = { source = ["aws.ec2"], "detail-type" = ["EC2 Capacity Reservation Instance Interruption Warning"] }
    health       = { source = ["aws.health"], "detail-type" = ["AWS Health Event"], detail = { service = ["EC2"] } }
    lifecycle = {
      source        = ["aws.autoscaling"]
      "detail-type" = ["EC2 Instance-terminate Lifecycle Action", "EC2 Instance-launch Lifecycle Action"]
    }
    backup = { source = ["aws.backup"], "detail-type" = ["Backup Job State Change"] }
  }
}

resource "aws_cloudwatch_event_rule" "notices" {
  for_each      = local.notices
  name          = "${local.name}-${each.key}"
  event_pattern = jsonencode(each.value)
  tags          = local.tags
}

resource "aws_cloudwatch_event_target" "notices" {
  for_each = local.notices
  rule     = aws_cloudwatch_event_rule.notices[each.key].name
  arn      = aws_sqs_queue.notices.arn
}

resource "aws_autoscaling_lifecycle_hook" "terminate" {
  for_each               = toset(var.auto_scaling_groups)
  name                   = "medevac-terminate"
  autoscaling_group_name = each.value
  lifecycle_transition   = "autoscaling:EC2_INSTANCE_TERMINATING"
  heartbeat_timeout      = var.hook_seconds
  default_result         = "CONTINUE"
}

# For the rule `scale-out`: a machine that comes is heard of before it takes work.
resource "aws_autoscaling_lifecycle_hook" "launch" {
  for_each               = var.launch_hooks ? toset(var.auto_scaling_groups) : toset([])
  name                   = "medevac-launch"
  autoscaling_group_name = each.value
  lifecycle_transition   = "autoscaling:EC2_INSTANCE_LAUNCHING"
  heartbeat_timeout      = var.hook_seconds
  default_result         = "CONTINUE"
}
