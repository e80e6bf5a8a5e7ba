package cumulo.runtime;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Errors as Lambda shows them. */
final class Failures {
    private static final int CAUSES_MAX = 16;
    private static final String OURS = "cumulo.runtime.";

    private Failures() {}

    /** A handler that cannot be found or called; `type` is what the error is called. */
    static final class BadHandler extends Exception {
        private static final long serialVersionUID = 1L;
        final String type;

        BadHandler(String type, String message) {
            super(message);
            this.type = type;
        }
    }

    static String type(Throwable problem) {
        return problem instanceof BadHandler ? ((BadHandler) problem).type : problem.getClass().getName();
    }

    static Map<String, Object> describe(Throwable problem) {
        return describe(problem, CAUSES_MAX);
    }

    private static Map<String, Object> describe(Throwable problem, int causes) {
        Map<String, Object> shown = new LinkedHashMap<String, Object>();
        shown.put("errorMessage", problem.getMessage());
        shown.put("errorType", type(problem));
        if (!(problem instanceof BadHandler)) {
            shown.put("stackTrace", frames(problem));
        }
        if (problem.getCause() != null && problem.getCause() != problem && causes > 0) {
            shown.put("cause", describe(problem.getCause(), causes - 1));
        }
        return shown;
    }

    /** The frames of the function: what lies below them is ours. */
    private static List<Object> frames(Throwable problem) {
        List<Object> frames = new ArrayList<Object>();
        StackTraceElement[] all = problem.getStackTrace();
        int end = 0;
        while (end < all.length && !all[end].getClassName().startsWith(OURS)) {
            end++;
        }
        while (end > 0 && isReflection(all[end - 1].getClassName())) {
            end--;
        }
        for (int i = 0; i < end; i++) {
            frames.add(all[i].toString());
        }
        return frames;
    }

    private static boolean isReflection(String name) {
        return name.startsWith("java.lang.reflect.")
                || name.startsWith("jdk.internal.reflect.")
                || name.startsWith("sun.reflect.")
                || name.startsWith("java.lang.invoke.");
    }

    /** Write the error to the function's log. */
    static void log(Throwable problem) {
        StringBuilder text = new StringBuilder();
        text.append(problem.getMessage()).append(": ").append(type(problem)).append('\n');
        for (Throwable one = problem; one != null && !(one instanceof BadHandler); one = one.getCause()) {
            text.append(one == problem ? "" : "Caused by: ").append(one).append('\n');
            for (Object frame : frames(one)) {
                text.append("\tat ").append(frame).append('\n');
            }
        }
        System.out.print(text);
        System.out.flush();
    }
}
