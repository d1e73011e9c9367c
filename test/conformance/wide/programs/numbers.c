/*
 * Publishes numbers with confirms and consumes them with acks over rabbitmq-c: HOST PORT. The library leaves reconnecting
 * to its users: each of the two processes connects anew when something fails.
 */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

enum { PREFETCH = 5, PAUSE_US = 50000, PATIENCE_S = 5 };
/* Slower than the publisher: at a kill there are messages that only the broker has. */
enum { WORK_US = 5000 };

static const char *QUEUE = "numbers";

static int is_normal(amqp_rpc_reply_t reply) { return reply.reply_type == AMQP_RESPONSE_NORMAL; }

/* With channel 1 open and the queue declared; NULL when the broker is away. */
static amqp_connection_state_t open_channel(const char *host, int port) {
  amqp_connection_state_t connection = amqp_new_connection();
  amqp_socket_t *socket = amqp_tcp_socket_new(connection);
  if (socket != NULL && amqp_socket_open(socket, host, port) == AMQP_STATUS_OK &&
      is_normal(amqp_login(connection, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"))) {
    amqp_channel_open(connection, 1);
    if (is_normal(amqp_get_rpc_reply(connection))) {
      amqp_queue_declare(connection, 1, amqp_cstring_bytes(QUEUE), 0, 1, 0, 0, amqp_empty_table);
      if (is_normal(amqp_get_rpc_reply(connection))) return connection;
    }
  }
  amqp_destroy_connection(connection);
  return NULL;
}

static void consume(amqp_connection_state_t connection) {
  amqp_basic_qos(connection, 1, 0, PREFETCH, 0);
  amqp_basic_consume(connection, 1, amqp_cstring_bytes(QUEUE), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
  if (!is_normal(amqp_get_rpc_reply(connection))) return;
  for (;;) {
    amqp_envelope_t envelope;
    amqp_maybe_release_buffers(connection);
    if (!is_normal(amqp_consume_message(connection, &envelope, NULL, 0))) return;
    printf("receive %.*s\n", (int)envelope.message.body.len, (char *)envelope.message.body.bytes);
    usleep(WORK_US);
    int acked = amqp_basic_ack(connection, 1, envelope.delivery_tag, 0);
    amqp_destroy_envelope(&envelope);
    if (acked != AMQP_STATUS_OK) return;
  }
}

/* Whether the next frame in time is an ack. */
static int is_confirmed(amqp_connection_state_t connection) {
  struct timeval patience = {PATIENCE_S, 0};
  amqp_frame_t frame;
  amqp_maybe_release_buffers(connection);
  if (amqp_simple_wait_frame_noblock(connection, &frame, &patience) != AMQP_STATUS_OK) return 0;
  return frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_ACK_METHOD;
}

static int is_told_to_stop(void) {
  struct pollfd input = {.fd = 0, .events = POLLIN};
  return poll(&input, 1, 0) > 0;
}

static void publish(amqp_connection_state_t connection, long *next) {
  amqp_confirm_select(connection, 1);
  if (!is_normal(amqp_get_rpc_reply(connection))) return;
  amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};
  while (!is_told_to_stop()) {
    char text[24];
    snprintf(text, sizeof text, "%ld", ++*next);
    printf("try %s\n", text);
    int sent = amqp_basic_publish(connection, 1, amqp_empty_bytes, amqp_cstring_bytes(QUEUE), 0, 0, &properties,
                                  amqp_cstring_bytes(text));
    if (sent != AMQP_STATUS_OK || !is_confirmed(connection)) return;
    printf("confirm %s\n", text);
  }
}

int main(int count, char **args) {
  if (count != 3) return 1;
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGPIPE, SIG_IGN);
  const char *host = args[1];
  int port = atoi(args[2]);
  long next = 0;
  int consumes = fork() == 0;
  /* The consumer does not outlive the publisher, which is killed at the end. */
  if (consumes) prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) {
    amqp_connection_state_t connection = open_channel(host, port);
    if (connection != NULL && consumes) consume(connection);
    if (connection != NULL && !consumes) publish(connection, &next);
    if (connection != NULL) amqp_destroy_connection(connection);
    usleep(PAUSE_US);
  }
}
