output "topics" {
  description = "The full name of each topic."
  value       = { for name, topic in google_pubsub_topic.stream : name => topic.id }
}

output "subscriptions" {
  description = "The full name of each subscription."
  value       = { for name, sub in google_pubsub_subscription.stream : name => sub.id }
}

output "accounts" {
  description = "The account of each job."
  value       = { for name, account in google_service_account.job : name => account.email }
}
