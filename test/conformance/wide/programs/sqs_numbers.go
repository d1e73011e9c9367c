// Sends numbers to a queue over Amazon's SDK for Go, ten at a time, and receives and deletes them beside that.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const atOnce = 10

var ctx = context.Background()

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func create(client *sqs.Client, name string, attributes map[string]string) *string {
	return must(client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})).QueueUrl
}

// What a topic is given comes to its queue as it is. The SDK compares the MD5 of the body by itself.
func topic(client *sqs.Client, topics *sns.Client) {
	url := create(client, "news", nil)
	names := []types.QueueAttributeName{types.QueueAttributeNameQueueArn}
	attributes := must(client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: url, AttributeNames: names}))
	arn := must(topics.CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String("news")})).TopicArn
	must(topics.Subscribe(ctx, &sns.SubscribeInput{
		TopicArn:   arn,
		Protocol:   aws.String("sqs"),
		Endpoint:   aws.String(attributes.Attributes["QueueArn"]),
		Attributes: map[string]string{"RawMessageDelivery": "true"},
	}))
	must(topics.Publish(ctx, &sns.PublishInput{TopicArn: arn, Message: aws.String("häß €")}))
	got := must(client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: 10}))
	if len(got.Messages) != 1 || *got.Messages[0].Body != "häß €" {
		panic(fmt.Sprint(got.Messages))
	}
	fmt.Println("job a topic gave a message raw to a queue")
}

func receive(client *sqs.Client, url *string) {
	for {
		input := sqs.ReceiveMessageInput{QueueUrl: url, MaxNumberOfMessages: atOnce, WaitTimeSeconds: 1}
		got, err := client.ReceiveMessage(ctx, &input)
		if err != nil {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		var entries []types.DeleteMessageBatchRequestEntry
		for i, message := range got.Messages {
			fmt.Printf("receive %s\n", *message.Body)
			id := aws.String(strconv.Itoa(i))
			entries = append(entries, types.DeleteMessageBatchRequestEntry{Id: id, ReceiptHandle: message.ReceiptHandle})
		}
		if len(entries) > 0 {
			client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: url, Entries: entries})
		}
	}
}

func main() {
	endpoint := os.Getenv("BROKER")
	login := credentials.NewStaticCredentialsProvider("test", "test", "")
	client := sqs.New(sqs.Options{BaseEndpoint: &endpoint, Region: "us-east-1", Credentials: login})
	topic(client, sns.New(sns.Options{BaseEndpoint: &endpoint, Region: "us-east-1", Credentials: login}))
	url := create(client, "numbers", map[string]string{"VisibilityTimeout": "2"})
	go receive(client, url)
	var stop atomic.Bool
	go func() {
		bufio.NewReader(os.Stdin).ReadString('\n')
		stop.Store(true)
	}()
	for next := 1; !stop.Load(); next += atOnce {
		var entries []types.SendMessageBatchRequestEntry
		for n := next; n < next+atOnce; n++ {
			fmt.Printf("try %d\n", n)
			text := aws.String(strconv.Itoa(n))
			entries = append(entries, types.SendMessageBatchRequestEntry{Id: text, MessageBody: text})
		}
		sent, err := client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: url, Entries: entries})
		if err != nil {
			// Not known.
			time.Sleep(50 * time.Millisecond)
			continue
		}
		for _, each := range sent.Successful {
			fmt.Printf("confirm %s\n", *each.Id)
		}
	}
	select {}
}
