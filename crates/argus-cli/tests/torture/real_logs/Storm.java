import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Logs for a while when it is told to, says so, and stays until it is told to leave. */
public class Storm {
    private static final Logger LOG = LoggerFactory.getLogger("shop.storm.Till");
    private static final long EVERY_NANOS = 500_000;

    public static void main(String[] words) throws Exception {
        LOG.info("ready");
        System.out.println("ready");
        System.in.read();
        long begun = System.nanoTime();
        long ends = begun + (long) (Double.parseDouble(words[0]) * 1e9);
        for (long number = 0; System.nanoTime() < ends; number++) {
            log(number);
            long early = begun + number * EVERY_NANOS - System.nanoTime();
            if (early > 0) {
                Thread.sleep(early / 1_000_000, (int) (early % 1_000_000));
            }
        }
        System.out.println("done");
        System.in.read();
    }

    private static void log(long number) {
        switch ((int) (number % 50)) {
            case 7 -> LOG.error("no gold for order {}", number, failure(number));
            case 13 -> LOG.warn("order {} comes in\nseveral lines of {}\n\n\tand é", number, number);
            case 17 -> LOG.debug("order {} is looked at", number);
            default -> LOG.info("order {} is paid", number);
        }
    }

    private static Exception failure(long number) {
        try {
            return List.of(number).stream().map(Storm::fail).findFirst().get();
        } catch (RuntimeException cause) {
            return new IllegalStateException("order " + number + " failed", cause);
        }
    }

    private static Exception fail(long number) {
        throw new ArithmeticException("out of gold: " + number);
    }
}
