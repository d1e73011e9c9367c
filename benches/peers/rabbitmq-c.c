/*
 * publish and consume together with rabbitmq-c: PORT QUEUE MESSAGES. The queue is there. One process publishes 100 B
 * persistent messages with confirms, at most 5,000 unconfirmed; its child takes and acks them with a prefetch of 500.
 * Prints the seconds until all are consumed and confirmed.
 */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { IN_FLIGHT = 5000, PREFETCH = 500, BODY_BYTES = 100, ACK_EVERY = 50 };

static double now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec + at.tv_nsec / 1e9;
}

static void must(int ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "%s failed\n", what);
  exit(1);
}

static amqp_connection_state_t connect_to(int port) {
  amqp_connection_state_t connection = amqp_new_connection();
  amqp_socket_t *socket = amqp_tcp_socket_new(connection);
  must(socket != NULL && amqp_socket_open(socket, "127.0.0.1", port) == 0, "connect");
  amqp_rpc_reply_t reply = amqp_login(connection, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest");
  must(reply.reply_type == AMQP_RESPONSE_NORMAL, "login");
  amqp_channel_open(connection, 1);
  must(amqp_get_rpc_reply(connection).reply_type == AMQP_RESPONSE_NORMAL, "channel.open");
  return connection;
}

static void consume(int port, const char *queue, long messages) {
  amqp_connection_state_t connection = connect_to(port);
  amqp_basic_qos(connection, 1, 0, PREFETCH, 0);
  amqp_basic_consume(connection, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
  must(amqp_get_rpc_reply(connection).reply_type == AMQP_RESPONSE_NORMAL, "basic.consume");
  for (long taken = 1; taken <= messages; taken++) {
    amqp_envelope_t envelope;
    amqp_maybe_release_buffers(connection);
    amqp_rpc_reply_t reply = amqp_consume_message(connection, &envelope, NULL, 0);
    must(reply.reply_type == AMQP_RESPONSE_NORMAL, "basic.deliver");
    if (taken % ACK_EVERY == 0 || taken == messages) amqp_basic_ack(connection, 1, envelope.delivery_tag, 1);
    amqp_destroy_envelope(&envelope);
  }
  amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
  exit(0);
}

/* Which tags are confirmed: singly in any order, or all up to one. */
struct confirms {
  char *is_confirmed;
  long all_below;
  long count;
};

static void confirm_one(struct confirms *confirms, long tag) {
  if (!confirms->is_confirmed[tag]) confirms->count++;
  confirms->is_confirmed[tag] = 1;
}

static void take_confirm(amqp_connection_state_t connection, struct confirms *confirms) {
  amqp_frame_t frame;
  amqp_maybe_release_buffers(connection);
  must(amqp_simple_wait_frame(connection, &frame) == AMQP_STATUS_OK, "waiting for a confirm");
  if (frame.frame_type != AMQP_FRAME_METHOD) return;
  must(frame.payload.method.id == AMQP_BASIC_ACK_METHOD, "a confirm");
  amqp_basic_ack_t *ack = frame.payload.method.decoded;
  if (!ack->multiple) confirm_one(confirms, (long)ack->delivery_tag);
  else
    for (; confirms->all_below <= (long)ack->delivery_tag; confirms->all_below++)
      confirm_one(confirms, confirms->all_below);
}

int main(int count, char **args) {
  must(count == 4, "usage: PORT QUEUE MESSAGES;");
  int port = atoi(args[1]);
  long messages = atol(args[3]);
  double start = now();
  pid_t consumer = fork();
  if (consumer == 0) consume(port, args[2], messages);
  amqp_connection_state_t connection = connect_to(port);
  amqp_confirm_select(connection, 1);
  must(amqp_get_rpc_reply(connection).reply_type == AMQP_RESPONSE_NORMAL, "confirm.select");
  char text[BODY_BYTES];
  memset(text, 'x', sizeof text);
  amqp_bytes_t body = {sizeof text, text};
  amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};
  struct confirms confirms = {calloc((size_t)messages + 1, 1), 1, 0};
  for (long sent = 1; sent <= messages; sent++) {
    while (sent - confirms.count > IN_FLIGHT) take_confirm(connection, &confirms);
    amqp_basic_publish(connection, 1, amqp_empty_bytes, amqp_cstring_bytes(args[2]), 0, 0, &properties, body);
  }
  while (confirms.count < messages) take_confirm(connection, &confirms);
  int status = 0;
  must(waitpid(consumer, &status, 0) == consumer && status == 0, "the consumer");
  printf("%f\n", now() - start);
  return 0;
}
