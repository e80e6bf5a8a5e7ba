package cumulo.runtime;

import java.io.IOException;

/**
 * What a Java function's process runs: finds the handler, then serves its invocations.
 *
 * <p>Written without lambdas, streams and string formats: each costs tens of milliseconds when it is first used.
 */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) throws IOException {
        RuntimeApi api = new RuntimeApi(System.getenv("AWS_LAMBDA_RUNTIME_API"));
        Handler handler;
        try {
            handler = Handler.find(System.getenv("_HANDLER"));
        } catch (Throwable problem) {
            Failures.log(problem);
            api.failInit(problem);
            System.exit(1);
            return;
        }
        while (true) {
            RuntimeApi.Answer invocation = api.next();
            String id = invocation.header("lambda-runtime-aws-request-id");
            String trace = invocation.header("lambda-runtime-trace-id");
            if (trace == null) {
                System.clearProperty("com.amazonaws.xray.traceHeader");
            } else {
                System.setProperty("com.amazonaws.xray.traceHeader", trace);
            }
            byte[] result;
            try {
                result = handler.handle(invocation);
            } catch (Throwable problem) {
                Failures.log(problem);
                System.out.flush();
                api.fail(id, problem);
                if (problem instanceof VirtualMachineError) {
                    System.exit(1); // out of memory, or worse: not to be used again
                }
                continue;
            }
            System.out.flush();
            api.respond(id, result);
        }
    }
}
