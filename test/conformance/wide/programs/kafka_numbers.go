// Produces numbers and consumes them in a group over franz-go, which sends again and reconnects by itself.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const topic = "numbers"

func client(options ...kgo.Opt) *kgo.Client {
	always := []kgo.Opt{
		kgo.SeedBrokers(os.Args[1]),
		kgo.AllowAutoTopicCreation(),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
		kgo.MetadataMinAge(100 * time.Millisecond),
	}
	made, err := kgo.NewClient(append(always, options...)...)
	if err != nil {
		panic(err)
	}
	return made
}

func consume() {
	reader := client(
		kgo.ConsumerGroup("readers"),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.AutoCommitInterval(100*time.Millisecond),
	)
	for {
		reader.PollFetches(context.Background()).EachRecord(func(record *kgo.Record) {
			fmt.Printf("receive %s\n", record.Value)
		})
	}
}

func main() {
	var stop atomic.Bool
	go func() {
		bufio.NewReader(os.Stdin).ReadString('\n')
		stop.Store(true)
	}()
	go consume()
	writer := client(kgo.ProducerLinger(0))
	for next := 1; !stop.Load(); next++ {
		fmt.Printf("try %d\n", next)
		record := &kgo.Record{Topic: topic, Value: []byte(strconv.Itoa(next))}
		if err := writer.ProduceSync(context.Background(), record).FirstErr(); err == nil {
			fmt.Printf("confirm %d\n", next)
		}
		time.Sleep(2 * time.Millisecond)
	}
	select {}
}
