import java.net.URI;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.springframework.amqp.core.Declarables;
import org.springframework.amqp.core.Queue;
import org.springframework.amqp.core.QueueBuilder;
import org.springframework.amqp.rabbit.annotation.EnableRabbit;
import org.springframework.amqp.rabbit.annotation.RabbitListener;
import org.springframework.amqp.rabbit.config.RetryInterceptorBuilder;
import org.springframework.amqp.rabbit.config.SimpleRabbitListenerContainerFactory;
import org.springframework.amqp.rabbit.connection.CachingConnectionFactory;
import org.springframework.amqp.rabbit.connection.ConnectionFactory;
import org.springframework.amqp.rabbit.connection.CorrelationData;
import org.springframework.amqp.rabbit.core.RabbitAdmin;
import org.springframework.amqp.rabbit.core.RabbitTemplate;
import org.springframework.amqp.rabbit.retry.RejectAndDontRequeueRecoverer;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** Spring declares queues, sends with confirms and returns, asks over direct reply-to, and its listeners retry and reconnect. */
@Configuration
@EnableRabbit
public class SpringNumbers {
  private static final BlockingQueue<String> DEAD = new LinkedBlockingQueue<>();
  private static volatile int attempts = 0;
  private static volatile boolean stop = false;

  @Bean
  CachingConnectionFactory connections() {
    CachingConnectionFactory connections = new CachingConnectionFactory(URI.create(System.getenv("BROKER")));
    connections.setPublisherConfirmType(CachingConnectionFactory.ConfirmType.CORRELATED);
    connections.setPublisherReturns(true);
    return connections;
  }

  @Bean
  RabbitAdmin admin(ConnectionFactory connections) {
    return new RabbitAdmin(connections);
  }

  @Bean
  RabbitTemplate template(ConnectionFactory connections) {
    RabbitTemplate template = new RabbitTemplate(connections);
    template.setMandatory(true);
    template.setReplyTimeout(10_000);
    return template;
  }

  @Bean
  Declarables queues() {
    return new Declarables(
      new Queue("numbers"),
      new Queue("dead"),
      new Queue("questions"),
      QueueBuilder.durable("work").deadLetterExchange("").deadLetterRoutingKey("dead").build());
  }

  @Bean
  SimpleRabbitListenerContainerFactory rabbitListenerContainerFactory(ConnectionFactory connections) {
    SimpleRabbitListenerContainerFactory factory = new SimpleRabbitListenerContainerFactory();
    factory.setConnectionFactory(connections);
    factory.setRecoveryInterval(100L);
    factory.setPrefetchCount(5);
    factory.setAdviceChain(RetryInterceptorBuilder.stateless()
      .maxAttempts(3).backOffOptions(20, 2, 100).recoverer(new RejectAndDontRequeueRecoverer()).build());
    return factory;
  }

  @RabbitListener(queues = "work")
  void fail(String body) {
    attempts++;
    throw new IllegalStateException(body);
  }

  @RabbitListener(queues = "dead")
  void dead(String body) {
    DEAD.add(body);
  }

  @RabbitListener(queues = "questions")
  String answer(String body) {
    return body.toUpperCase();
  }

  @RabbitListener(queues = "numbers")
  void number(String body) throws InterruptedException {
    say("receive " + body);
    Thread.sleep(5);
  }

  public static void main(String[] args) throws Exception {
    try (AnnotationConfigApplicationContext context = new AnnotationConfigApplicationContext(SpringNumbers.class)) {
      RabbitTemplate template = context.getBean(RabbitTemplate.class);
      template.convertAndSend("work", "poison");
      check("poison".equals(DEAD.poll(20, TimeUnit.SECONDS)) && attempts == 3, "attempts: " + attempts);
      check("ANSWER".equals(template.convertSendAndReceive("questions", "answer")), "an answer");
      CorrelationData nowhere = new CorrelationData("1");
      template.convertAndSend("", "no such queue", "x", nowhere);
      check(nowhere.getFuture().get(10, TimeUnit.SECONDS).isAck(), "a confirm");
      check(nowhere.getReturned().getReplyCode() == 312, "a return");
      say("job a listener tried thrice before its dead-letter queue, a request was answered, a message came back");
      Thread reader = new Thread(() -> {
        try {
          System.in.read();
        } catch (java.io.IOException e) {
          // As if it had been told.
        }
        stop = true;
      });
      reader.setDaemon(true);
      reader.start();
      for (int next = 1; !stop; next++) {
        say("try " + next);
        try {
          CorrelationData data = new CorrelationData(String.valueOf(next));
          template.convertAndSend("", "numbers", String.valueOf(next), data);
          if (data.getFuture().get(5, TimeUnit.SECONDS).isAck()) say("confirm " + next);
        } catch (Exception e) {
          // Not known. The next one connects again.
          Thread.sleep(50);
        }
      }
      Thread.currentThread().join();
    }
  }

  private static void say(String line) {
    System.out.println(line);
  }

  private static void check(boolean ok, String what) {
    if (!ok) throw new AssertionError(what);
  }
}
