// Publishes numbers with confirms and consumes them with acks over amqp091-go, which leaves reconnecting to its users.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const queue = "numbers"
const pause = 50 * time.Millisecond

// Slower than the publisher: at a kill there are messages that only the broker has.
const work = 5 * time.Millisecond

func channel(url string) (*amqp.Connection, *amqp.Channel, error) {
	connection, err := amqp.Dial(url)
	if err != nil {
		return nil, nil, err
	}
	ch, err := connection.Channel()
	if err == nil {
		_, err = ch.QueueDeclare(queue, true, false, false, false, nil)
	}
	if err != nil {
		connection.Close()
		return nil, nil, err
	}
	return connection, ch, nil
}

func publish(url string, next *int, stop *atomic.Bool) error {
	connection, ch, err := channel(url)
	if err != nil {
		return err
	}
	defer connection.Close()
	if err := ch.Confirm(false); err != nil {
		return err
	}
	for !stop.Load() {
		*next++
		fmt.Printf("try %d\n", *next)
		message := amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(strconv.Itoa(*next))}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		confirm, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", queue, false, false, message)
		if err == nil {
			var acked bool
			acked, err = confirm.WaitContext(ctx)
			if err == nil && acked {
				fmt.Printf("confirm %d\n", *next)
			}
		}
		cancel()
		if err != nil {
			return err
		}
		if connection.IsClosed() {
			return amqp.ErrClosed
		}
	}
	return nil
}

func consume(url string) error {
	connection, ch, err := channel(url)
	if err != nil {
		return err
	}
	defer connection.Close()
	if err := ch.Qos(5, 0, false); err != nil {
		return err
	}
	deliveries, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	for delivery := range deliveries {
		fmt.Printf("receive %s\n", delivery.Body)
		time.Sleep(work)
		delivery.Ack(false)
	}
	return nil
}

func main() {
	url := os.Args[1]
	var stop atomic.Bool
	go func() {
		bufio.NewReader(os.Stdin).ReadString('\n')
		stop.Store(true)
	}()
	go func() {
		for {
			consume(url)
			time.Sleep(pause)
		}
	}()
	for next := 0; !stop.Load(); time.Sleep(pause) {
		publish(url, &next, &stop)
	}
	select {}
}
